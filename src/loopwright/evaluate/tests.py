"""Judges a proposal by the tests: a cold, complete run in a fresh copy, compared test by test with the run before.

Protected files are put back before every run, so no proposal can weaken what judges it; a success is believed only when it repeats,
a failure too. The tests share a process with the code under test: what forges reports from inside needs the sandbox and a review.
"""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

import msgspec

from loopwright.errors import ActionError, WorkspaceError
from loopwright.evaluate.compare import Comparison, compare, named, overfitted, passes, summarise
from loopwright.evaluate.flakes import Repeats, Settled
from loopwright.evaluate.footprint import changed_paths
from loopwright.evaluate.protocol import JudgeRequest
from loopwright.evaluate.screen import Screen
from loopwright.kernel.loop import TestsSource
from loopwright.kernel.values import Verdict
from loopwright.suite.command import parse
from loopwright.suite.holdout import NOTHING_HELD, Split, head_split, split
from loopwright.suite.outcome import CANNOT_COLLECT, decode_suite, describe, last_line, stable, uncollected
from loopwright.suite.quarantine import quarantine_of
from loopwright.suite.report import SuiteReport
from loopwright.suite.run import run_suite
from loopwright.workspace.patterns import matches
from loopwright.workspace.protocol import Candidate
from loopwright.workspace.workshop import Workshop

__all__ = ["TestsVerifier"]

SLOWDOWN = 10
LEAST_LIMIT_S = 30
"""A proposal that makes the tests hang is given up after ten times the time of the run before, and never before half a minute."""


class TestsVerifier:
    """`name` is `tests` or `guard`. A guard does not score: what it guards is not what the loop improves.

    All tests judge. Those that the loop holds out are only counted in the summary, for proposers read it; the evidence has them all.
    What `loops/quarantine.toml` of the base names, and is not over by the shop's clock, counts for nothing.
    """

    __test__ = False

    def __init__(self, source: TestsSource, name: str = "tests", screen: Screen | None = None) -> None:
        """`screen` refuses in warm processes what surely breaks something; without it every proposal gets its cold run."""
        self._source = source
        self._name = name
        self._screen = screen
        self._measured: dict[str, SuiteReport] = {}
        self._measuring = asyncio.Lock()

    async def judge(self, request: JudgeRequest, shop: Workshop) -> Verdict:
        """`pass`: no test that passed fails, errs, is skipped or is missing, and one that failed passes, or all pass.

        Raises: `UsageError`, also for a faulty quarantine; `SandboxError`; `ActionError` where the tests say nothing of the head itself.
        What the proposal does wrong is a verdict.
        """
        protect = request.loop.evaluate.protect
        undone = tuple(c.path for c in request.proposal.changes if matches(c.path, protect))
        if request.proposal.changes and len(undone) == len(request.proposal.changes):
            return Verdict(self._name, "fail", f"the proposal only edits protected files: {describe(undone)}")
        quarantine = quarantine_of(shop.workspace, request.base_tree, shop.now_ms())  # no proposal decides what counts
        measured = await self._before(request, shop)
        source = _limited(self._source, measured, shop)
        trial = _Trial(request, source, shop, self._split(request, measured, shop))
        # What is held out must not be named, and what is in quarantine must not refuse: the cold run sees to both.
        if self._screen is not None and not quarantine.entries and not trial.split.held:
            refused = await self._screen.refuse(request, measured, shop)
            if refused is not None:
                return refused
        try:
            with trial.copy() as candidate:
                clean = changed_paths(candidate)
                shop.progress(f"testing {request.proposal.title}")
                ran = await run_suite(source, candidate, shop)
                littered = sorted({path for path, _ in changed_paths(candidate) - clean})
        except WorkspaceError as error:
            return Verdict(self._name, "fail", f"the proposal cannot be applied: {error}")
        before, after = quarantine.set_aside(measured), quarantine.set_aside(ran)
        verdict = _unusable(self._name, before, after, trial) or await self._weigh(before, after, trial)
        notes = list(quarantine.notes(ran, trial.split.holds))
        if undone:
            notes.append(f"edits of protected files undone: {describe(undone)}")
        if littered:
            notes.append(f"the tests write into the checkout: {describe(littered)}")
        evidence = shop.blobs.put(
            msgspec.json.encode(msgspec.structs.replace(ran, flaky=trial.flaky)), "application/json"
        )
        return msgspec.structs.replace(verdict, summary="; ".join([verdict.summary, *notes]), evidence=evidence)

    async def close(self) -> None:
        """Ends the warm processes."""
        if self._screen is not None:
            await self._screen.close()

    async def _before(self, request: JudgeRequest, shop: Workshop) -> SuiteReport:
        """The report of the head: observed with the same command, or measured here, once a head."""
        argv = parse(self._source.run).argv
        for observation in request.observations:
            report = decode_suite(observation, shop.blobs)
            if report is not None and report.command == argv:
                return report
        async with self._measuring:
            if request.tree not in self._measured:
                shop.progress(f"measuring {self._source.run} without the proposal")
                with shop.workspace.checkout(request.tree, "baseline") as candidate:
                    report = await run_suite(self._source, candidate, shop)
                if why := _says_nothing(report, guards=self._name != "tests"):
                    message = f"{self._name}: {self._source.run!r} {why}"
                    raise ActionError(message, signature=stable(message))
                self._measured = {request.tree: report}
            return self._measured[request.tree]

    def _split(self, request: JudgeRequest, measured: SuiteReport, shop: Workshop) -> Split:
        """That of the head, which proposers were shown by; a head that nobody observed has one too, for all that it was not shown."""
        policy, tree = request.loop.evaluate, request.tree
        drawn = head_split(request.observations, policy, seed=shop.seed, tree=tree, blobs=shop.blobs)
        if drawn is NOTHING_HELD and policy.holdout and self._name == "tests":
            return split(measured, policy.holdout, f"{shop.seed}:{tree}")
        return drawn

    async def _weigh(self, before: SuiteReport, after: SuiteReport, trial: "_Trial") -> Verdict:
        change = compare(before, after)
        settled = Settled()
        repeats = Repeats(trial.source, trial.copy, trial.shop, trial.request.proposal.digest)
        if change.broken:
            settled = await repeats.failures(change.broken, after)
            broken = tuple(i for i in change.broken if i not in settled.flaky)
            change = Comparison(broken, change.missing, change.fixed, change.wanted, change.gone)
            trial.flaky = tuple(sorted(settled.flaky))
            after = msgspec.structs.replace(after, flaky=trial.flaky)
        passed = passes(change, before, after, progress=self._name == "tests")
        status: Literal["pass", "fail", "inconclusive", "ask"] = "pass" if passed else "fail"
        if passed and overfitted(change, trial.split):
            status = "ask"
        summary = summarise(change, after, passed=passed, split=trial.split, order=_told(settled.order, trial.split))
        if passed and (doubt := await _doubt(change, before, after, repeats, trial.split)):
            status, summary = "inconclusive", doubt
        if settled.flaky:
            summary += f"; flaky: {named(sorted(settled.flaky), trial.split)}"
        scored = after.cases and self._name == "tests"
        return Verdict(
            verifier=self._name,
            status=status,
            summary=summary,
            score=float(len(after.ids("passed") | settled.flaky)) if scored else None,
        )


async def _doubt(
    change: Comparison, before: SuiteReport, after: SuiteReport, repeats: Repeats, split: Split
) -> str | None:
    """What of the success does not repeat."""
    if change.fixed:
        repeated = await repeats.successes(change.fixed)
        unsure = [i for i in change.fixed if i not in repeated]
        return f"{named(unsure, split)} passed once and failed when it was repeated" if unsure else None
    if after.status == "green" != before.status and (await repeats.whole()).status != "green":
        return "the test command passed once and failed when it was repeated"
    return None


def _told(order: Mapping[str, str], split: Split) -> dict[str, str]:
    return {i: "a held-out test" if split.holds(by) or split.names(by) else by for i, by in order.items()}


class _Trial:
    """Fresh copies of the head with the proposal applied and the protected files put back."""

    def __init__(self, request: JudgeRequest, source: TestsSource, shop: Workshop, split: Split) -> None:
        self.request = request
        self.source = source
        self.shop = shop
        self.split = split
        self.flaky: tuple[str, ...] = ()

    @contextmanager
    def copy(self) -> Iterator[Candidate]:
        request, shop = self.request, self.shop
        with shop.workspace.checkout(request.tree, "evaluate") as candidate:
            candidate.apply(request.proposal.changes, shop.blobs)
            candidate.restore(request.loop.evaluate.protect)
            yield candidate


def _unusable(name: str, before: SuiteReport, after: SuiteReport, trial: _Trial) -> Verdict | None:
    """The verdict on a run that says nothing test by test."""
    if after.status == "timeout":
        return Verdict(name, "fail", f"the tests did not end within {trial.source.timeout_s} s")
    if after.status == "empty":
        skipped = f": all {len(after.cases)} are skipped" if after.cases else ""
        return Verdict(name, "fail", f"no test runs any more{skipped}")
    if after.status == "not_found":
        return Verdict(name, "inconclusive", f"the test command {after.command[0]!r} was not found")
    if after.status == "broken":
        return Verdict(name, "crash", f"the tests cannot be run any more: {_why_broken(after, trial.split)}")
    if before.cases and not after.cases:
        # The exit code alone would be a success here, and it is the report that says which tests there were.
        return Verdict(name, "fail", "no test is reported any more")
    return None


def _why_broken(after: SuiteReport, split: Split) -> str:
    broken = uncollected(after)
    told = [c for c in broken if c.id not in split.files]
    if told:
        return f"{told[0].id}: {told[0].message.removeprefix(CANNOT_COLLECT)}"
    if broken:
        return f"{len(broken)} held-out file{'s' if len(broken) != 1 else ''} cannot be collected"
    said = last_line(after.output_tail)
    return said if said and not split.names(said) else f"exit code {after.exit_code}"


def _says_nothing(report: SuiteReport, *, guards: bool) -> str | None:
    """Why a run of the head is no baseline, with the next move; `None` when it is one."""
    if report.status == "empty":
        return "runs no test on the head itself; name the folder or file that holds the tests"
    if report.status == "not_found":
        return f"cannot be run: {report.command[0]!r} was not found; install it or correct the command"
    if not guards:
        return None
    if report.status in {"broken", "timeout"} or (report.status == "red" and not report.cases):
        said = "did not end in time" if report.status == "timeout" else f"exits {report.exit_code}"
        last = last_line(report.output_tail)
        return f"{said} on the head itself{f': {last}' if last else ''}; a guard must pass before there is something to guard"
    return None


def _limited(source: TestsSource, before: SuiteReport, shop: Workshop) -> TestsSource:
    limit_s = shop.timeout_s if source.timeout_s is None else source.timeout_s
    usual_s = max(LEAST_LIMIT_S, SLOWDOWN * -(-before.wall_ms // 1000))
    return msgspec.structs.replace(source, timeout_s=min(limit_s, usual_s))
