"""Refuses a proposal before its cold run, when a warm run says for sure what it breaks. It never lets anything pass."""

import asyncio

import msgspec

from loopwright.evaluate.compare import Comparison, summarise
from loopwright.evaluate.protocol import JudgeRequest
from loopwright.kernel.loop import TestsSource
from loopwright.kernel.values import Verdict
from loopwright.suite.command import parse
from loopwright.suite.outcome import CANNOT_COLLECT, describe, failing, uncollected
from loopwright.suite.report import SuiteReport
from loopwright.suite.warm.screened import Screened
from loopwright.suite.warm.warm import WarmSuite
from loopwright.workspace.patterns import matches
from loopwright.workspace.workshop import Workshop

__all__ = ["Screen"]

AFTER = 2
"""Warming up costs about three runs of the suite, a refusal saves one to five: from the third proposal for a head on it pays."""


class Screen:
    """`name` as the verifier's that it stands before: a `guard` asks for no progress. `after` proposals for one head go unscreened.

    It keeps warm processes between two calls: `close` ends them.
    """

    def __init__(self, source: TestsSource, name: str = "tests", *, after: int = AFTER) -> None:
        self._source = source
        self._name = name
        self._after = after
        self._tree: str | None = None
        self._seen = 0
        self._suite: WarmSuite | None = None
        self._changing = asyncio.Lock()

    async def refuse(self, request: JudgeRequest, head: SuiteReport, shop: Workshop) -> Verdict | None:
        """The verdict that the cold run would come to, or `None` when only that can tell. `head` is the cold report of `request.tree`.

        Raises: `SandboxError`.
        """
        suite = await self._warm(request, head, shop)
        if suite is None:
            return None
        shop.progress(f"screening {request.proposal.title}")
        seen = await suite.screen(request.proposal.changes, progress=self._name == "tests", cold=False)
        if seen.status != "fail":
            return None
        report = _report(seen, head, parse(self._source.run).argv)
        verdict = self._verdict(seen, head, report)
        notes = [verdict.summary]
        if undone := [c.path for c in request.proposal.changes if matches(c.path, request.loop.evaluate.protect)]:
            notes.append(f"edits of protected files undone: {describe(undone)}")
        evidence = shop.blobs.put(msgspec.json.encode(report), "application/json")
        return msgspec.structs.replace(verdict, summary="; ".join(notes), evidence=evidence)

    async def close(self) -> None:
        async with self._changing:
            await self._change(None)

    async def _warm(self, request: JudgeRequest, head: SuiteReport, shop: Workshop) -> WarmSuite | None:
        async with self._changing:
            if request.tree != self._tree:
                await self._change(request.tree)
            self._seen += 1
            if self._seen <= self._after:
                return None
            if self._suite is None:
                self._suite = WarmSuite(self._source, request.tree, head, shop, request.loop.evaluate.protect)
            return self._suite

    async def _change(self, tree: str | None) -> None:
        suite, self._suite = self._suite, None
        self._tree, self._seen = tree, 0
        if suite is not None:
            await suite.close()

    def _verdict(self, seen: Screened, head: SuiteReport, report: SuiteReport) -> Verdict:
        if broken := uncollected(report):
            said = f"{broken[0].id}: {broken[0].message.removeprefix(CANNOT_COLLECT)}"
            return Verdict(self._name, "crash", f"the tests cannot be run any more: {said}")
        before = head.ids("passed")
        change = Comparison(
            broken=tuple(case.id for case in seen.failed if case.id in before),
            missing=seen.missing,
            fixed=(),
            wanted=tuple(sorted(case.id for case in failing(head))),
        )
        if change.broken or change.missing or not seen.end:
            return Verdict(self._name, "fail", summarise(change, report, passed=False))
        return Verdict(self._name, "fail", f"the proposal {seen.end}")


def _report(seen: Screened, head: SuiteReport, command: tuple[str, ...]) -> SuiteReport:
    """What is known of the candidate: the tests that decided, not those that passed until then."""
    cases = tuple(msgspec.structs.replace(c, message=c.message or seen.end) for c in seen.failed)
    return SuiteReport(
        command=command,
        status="broken" if cases and all(c.message.startswith(CANNOT_COLLECT) for c in cases) else "red",
        exit_code=1,
        wall_ms=seen.wall_ms,
        cases=cases,
        flaky=(),
        output_tail=f"screened in a warm process ({seen.mode}: {seen.why}); {seen.ran} tests ran until this was sure",
    )
