"""The repair rung: localise, edit, screen, offer. No model, no network."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec

from loopwright.act.protocol import ProposeRequest, ProposeResult
from loopwright.act.repair.cold import WHOLE_COMMAND, ColdScreening, screen_cold
from loopwright.act.repair.edits import Edit
from loopwright.act.repair.localise import Suspicion, localise
from loopwright.act.repair.memory import Memory, Partial
from loopwright.act.repair.offer import Offers, Search, choose, findings, summary
from loopwright.act.repair.operators import OPERATORS
from loopwright.act.repair.order import in_order, sites
from loopwright.act.repair.runner import runner_of
from loopwright.act.repair.screen import Rewindable, Screened, Screening, Unusable, screen
from loopwright.act.repair.source import Source
from loopwright.act.repair.spectra import Spectra, Tracing, trace
from loopwright.act.repair.suspects import editable, from_failures, read_sources
from loopwright.errors import ActionError
from loopwright.kernel.loop import RepairRung, TestsSource
from loopwright.kernel.values import BlobRef
from loopwright.suite.command import parse
from loopwright.suite.report import SuiteReport
from loopwright.workspace.command import file_mode, untouched_files
from loopwright.workspace.protocol import Candidate
from loopwright.workspace.workshop import Workshop

__all__ = ["RepairProposer"]

_MARGIN_S = 15.0
# More failing tests than these say little more of one edit, and each costs time for every edit.
_MAX_WANTED = 8
_LOOKAHEAD, _PATIENCE = 24, 200
_VERSION = "1"


class RepairProposer:
    """Implements `act.protocol.Proposer`."""

    def __init__(self, rung: RepairRung) -> None:
        self._rung = rung

    async def propose(self, request: ProposeRequest, shop: Workshop) -> ProposeResult:
        """Edits that make failing tests pass, at most `request.batch`, in the same order on every machine.

        Raises: `ActionError` when the loop has no test command or was given no report of it, `SandboxError`.
        """
        report = _report(request, shop)
        if report.status != "red":
            return ProposeResult(
                (), exhausted=True, summary=f"no failing test to repair for: the suite is {report.status}"
            )
        deadline_ms = shop.now_ms() + int(1000 * self._seconds(shop))
        return await _Attempt(request, shop, report, lambda: (deadline_ms - shop.now_ms()) / 1000).run()

    def _seconds(self, shop: Workshop) -> float:
        most = max(shop.timeout_s - _MARGIN_S, shop.timeout_s / 2)
        return most if self._rung.seconds is None else min(most, self._rung.seconds)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where to look: the ranked lines, the files they are in, and how that was found out."""

    suspicions: tuple[Suspicion, ...]
    sources: dict[str, Source]
    how: str
    measured: Spectra | None
    spectra: BlobRef | None


class _Attempt:
    """One call of `propose`."""

    def __init__(
        self, request: ProposeRequest, shop: Workshop, report: SuiteReport, seconds_left: Callable[[], float]
    ) -> None:
        self._request = request
        self._shop = shop
        self._report = report
        self._seconds_left = seconds_left
        self._tests = _tests_source(request)
        self._runner = runner_of(parse(self._tests.run))
        self._action_id = f"{shop.run_id}/{shop.action_id}"
        failing = [c.id for c in report.cases if c.status in {"failed", "error"} and c.id not in report.flaky]
        self._failing = tuple(failing) or (WHOLE_COMMAND,)
        self._passing = tuple(c.id for c in report.cases if c.status == "passed")
        self._allowed = editable(request.loop, report.ids("passed", "failed", "error"))

    async def run(self) -> ProposeResult:
        memory = self._memory()
        with ExitStack() as stack:
            untouched = untouched_files(stack.enter_context(self._checkout("look")))
            place = await self._place(memory, untouched)
            if not place.suspicions:
                why = f"no line that may be edited is run by the failing tests ({place.how})"
                return ProposeResult((), exhausted=True, summary=why)
            order = enumerate(in_order(sites(place.sources, place.suspicions), OPERATORS))
            known = self._known(order, memory)
            screened, used_up, how = await self._screen(stack, place, order, memory, untouched)
            offers = Offers(self._request, self._shop, untouched, place.sources)
            offered = choose([*known, *screened], offers.is_new, self._request.batch)
            proposals = offers.proposals(offered)
        position = _position(memory.position, screened, offered, self._request.batch)
        rest = [s for s in [*known, *screened] if s.passed and not s.complete and s not in offered]
        now = Memory(
            settings=memory.settings,
            position=position,
            partial=tuple(Partial(s.index, tuple(sorted(s.passed))) for s in rest if s.index < position),
            spectra=place.spectra,
            screened=memory.screened + len(screened),
        )
        seen = Search(f"{place.how}; {how}", self._failing, place.suspicions, tuple(screened), now.screened)
        return ProposeResult(
            proposals=proposals,
            exhausted=used_up and not now.partial and all(s.index < position for s in screened),
            summary=summary(seen, offered, place.sources),
            memory=self._shop.blobs.put(msgspec.json.encode(now), "application/json", exact=True),
            findings=self._shop.blobs.put(
                msgspec.json.encode(findings(seen, self._report, place.sources)), "application/json"
            ),
        )

    def _checkout(self, label: str) -> Candidate:
        return self._shop.workspace.checkout(self._request.tree, f"repair-{label}")

    def _memory(self) -> Memory:
        loop = self._request.loop
        operators = [(op.name, op.prior) for op in OPERATORS]
        allowed = (loop.evaluate.protect, loop.permit.write)
        fixed = (_VERSION, self._request.tree, self._tests.run, self._failing, allowed, operators)
        settings = hashlib.sha256(msgspec.json.encode(fixed)).hexdigest()
        if self._request.memory is not None:
            try:
                memory = msgspec.json.decode(self._shop.blobs.get(self._request.memory), type=Memory)
            except msgspec.DecodeError:
                return Memory(settings)  # of another version
            if memory.settings == settings:
                return memory
        return Memory(settings)

    def _known(self, order: Iterator[tuple[int, Edit]], memory: Memory) -> list[Screened]:
        """Go to where the last call stopped; on the way, take the edits again that it found partly good and had no room for."""
        passes = {p.index: p.passes for p in memory.partial}
        before = [next(order, None) for _ in range(memory.position)]
        rows = [row for row in before if row is not None and row[0] in passes]
        return [Screened(index, edit, frozenset(passes[index])) for index, edit in rows]

    async def _place(self, memory: Memory, untouched: Path) -> _Place:
        # A link's target may be a file that is protected under its own name.
        paths = [
            path
            for path in self._shop.workspace.paths(self._request.tree)
            if self._allowed(path) and not (untouched / path).is_symlink()
        ]
        spectra = await self._spectra(memory)
        if spectra is None:
            sources = read_sources(paths, self._read)
            return _Place(from_failures(self._report, paths, sources), sources, "without coverage", None, None)
        suspicions = localise(spectra, self._failing, frozenset(paths).__contains__)
        sources = read_sources((s.path for s in suspicions), self._read)
        ref = memory.spectra or self._shop.blobs.put(msgspec.json.encode(spectra), "application/json", exact=True)
        return _Place(suspicions, sources, f"coverage by {spectra.tracer}", spectra, ref)

    def _read(self, path: str) -> bytes | None:
        return self._shop.workspace.read(self._request.tree, path)

    async def _spectra(self, memory: Memory) -> Spectra | None:
        if memory.spectra is not None:
            return msgspec.json.decode(self._shop.blobs.get(memory.spectra), type=Spectra)
        if self._runner is None or self._failing == (WHOLE_COMMAND,):
            return None
        self._shop.progress("looking which lines the failing tests run")
        # Half of the time at most: a search on an imprecise ranking beats a precise ranking without a search. A failing test that
        # hangs is stopped long before that: the lines that it ran until then say enough.
        slowest_s = max((c.duration_ms for c in self._report.cases if c.status == "passed"), default=0) / 1000
        seconds = max(1.0, self._seconds_left() / 2)
        tracing = Tracing(self._failing, self._passing, seconds, test_seconds=min(seconds, 2 + 5 * slowest_s))
        with self._checkout("trace") as candidate:
            return await trace(tracing, self._runner, candidate, self._shop.sandbox, self._action_id)

    async def _screen(
        self, stack: ExitStack, place: _Place, order: Iterator[tuple[int, Edit]], memory: Memory, untouched: Path
    ) -> tuple[list[Screened], bool, str]:
        count = max(1, self._shop.jobs)
        contents = {path: source.data for path, source in place.sources.items()}
        why = "the command is not pytest"
        rows = Rewindable(order)
        if self._runner is not None and place.measured is not None:
            touched = {path for t in place.measured.tests if t.test in self._failing for path in t.lines}
            screening = Screening(
                runner=self._runner,
                wanted=self._failing[:_MAX_WANTED],
                modules=place.measured.modules,
                files=tuple(sorted(touched | {t.partition("::")[0] for t in self._failing})),
                jobs=tuple(stack.enter_context(self._checkout(f"job{n}")) for n in range(count)),
                sandbox=self._shop.sandbox,
                action_id=self._action_id,
                seconds_left=self._seconds_left,
                lookahead=_LOOKAHEAD if self._request.batch > 1 else 0,
                patience=_PATIENCE,
                hangs=any(t.stopped for t in place.measured.tests if t.test in self._failing),
                early=not place.sources.keys().isdisjoint(place.measured.configured),
                last=memory.position + _PATIENCE if memory.partial else None,
            )
            try:
                found, used_up = await screen(screening, rows, contents, self._shop.progress)
                return found, used_up, "forked"
            except Unusable as unusable:
                why = str(unusable)
                rows.rewind()
        found, used_up = await screen_cold(
            ColdScreening(
                source=self._tests,
                baseline=self._report,
                wanted=frozenset(self._failing),
                jobs=count,
                copy=lambda: self._checkout("cold"),
                mode=partial(file_mode, untouched),
                seconds_left=self._seconds_left,
            ),
            rows,
            contents,
            self._shop,
        )
        return found, used_up, f"by whole runs of the command: {why}"


def _report(request: ProposeRequest, shop: Workshop) -> SuiteReport:
    for observation in request.observations:
        try:
            return msgspec.json.decode(shop.blobs.get(observation.content), type=SuiteReport)
        except msgspec.DecodeError:
            continue
    raise ActionError(
        "repair found no test report among the observations; expected one, observe `tests` in the loop file"
    )


def _tests_source(request: ProposeRequest) -> TestsSource:
    observed = (s for s in request.loop.observe if isinstance(s, TestsSource))
    source = request.loop.evaluate.tests or next(observed, None)
    if source is None:
        raise ActionError("repair has no test command; expected `evaluate: {tests: …}` in the loop file")
    return source


def _position(before: int, screened: Sequence[Screened], offered: Sequence[Screened], batch: int) -> int:
    """Where the next call begins. What was found behind the last one that there was room for is found again then."""
    complete = [s.index for s in offered if s.complete]
    if len(complete) == batch:
        return max(before, complete[-1] + 1)
    return max([before, *(s.index + 1 for s in screened)])
