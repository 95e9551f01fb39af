"""Screen candidates against a head's tests: by the cheapest way that is sound for the change, which is said with the result.

A warm process sits in the sandbox beside a checkout of the head, one for each job. It starts with the first candidate.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Literal

import msgspec

from loopwright.errors import WorkspaceError
from loopwright.kernel.loop import TestsSource
from loopwright.kernel.values import Change
from loopwright.suite.command import parse
from loopwright.suite.outcome import CANNOT_COLLECT, failing
from loopwright.suite.report import SuiteReport, TestCase
from loopwright.suite.run import run_suite
from loopwright.suite.warm.link import Answer, Link, LinkLost, Start
from loopwright.suite.warm.runner import runner_of
from loopwright.suite.warm.screened import Screened
from loopwright.workspace.patterns import matches
from loopwright.workspace.workshop import Workshop

__all__ = ["WarmSuite", "warm"]

SLOWDOWN = 10
LEAST_LIMIT_S = 30
"""As the verifier's own: a candidate is given up after ten times the time of the head's run, and never before half a minute."""
MEMORY_BYTES = 2 << 30
STARTS = 3
"""So often a warm process that ended is started anew; then the cold runs take over."""

_WORDS = {
    "hung": "does not end",
    "died": "ends the process",
    "stopped": "ends the run before its end",
    "uncollected": "the tests cannot be collected any more",
}


@contextlib.asynccontextmanager
async def warm(
    source: TestsSource, tree: str, head: SuiteReport, shop: Workshop, protect: Sequence[str] = ()
) -> AsyncIterator["WarmSuite"]:
    """A suite for the candidates of `tree`, whose complete cold run `head` was. Costs nothing until the first candidate is screened.

    Changes of files that `protect` matches are left out, as the cold run puts them back.
    """
    suite = WarmSuite(source, tree, head, shop, protect)
    try:
        yield suite
    finally:
        await suite.close()


class WarmSuite:
    """At most `shop.jobs` candidates at a time; more wait."""

    def __init__(
        self, source: TestsSource, tree: str, head: SuiteReport, shop: Workshop, protect: Sequence[str] = ()
    ) -> None:
        self._source = source
        self._tree = tree
        self._head = head
        self._shop = shop
        self._protect = tuple(protect)
        self._free: asyncio.LifoQueue[Link | None] = asyncio.LifoQueue()
        for _ in range(max(1, shop.jobs)):
            self._free.put_nowait(None)
        self._links: set[Link] = set()
        self._lost = 0
        self._start, self._no_warm = self._prepared()

    @property
    def must(self) -> frozenset[str]:
        """What passed on the head, and always does."""
        return self._head.ids("passed") - frozenset(self._head.flaky)

    @property
    def wanted(self) -> tuple[str, ...]:
        return tuple(case.id for case in failing(self._head))

    async def screen(self, changes: Sequence[Change], *, progress: bool = True, cold: bool = True) -> Screened:
        """Judge one candidate. Without `progress` (a guard) it need not fix what fails; without `cold` the last resort is left to the
        caller, who runs cold anyway: `unknown`.

        Raises: `SandboxError`, `UsageError` from the cold run.
        """
        began = time.monotonic()
        left = [change for change in changes if not matches(change.path, self._protect)]
        why = self._no_warm
        if why is None:
            link = await self._free.get()
            try:
                link, found, why = await self._warmly(link, left, progress)
            finally:
                self._free.put_nowait(link if link in self._links else None)
            if found is not None:
                return _timed(found, began)
        if not cold:
            return _timed(Screened("unknown", "cold", why or ""), began)
        return _timed(await self._coldly(left, why or "", progress), began)

    async def close(self) -> None:
        links, self._links = self._links, set()
        for link in links:
            await link.close()

    async def _warmly(
        self, link: Link | None, changes: Sequence[Change], progress: bool
    ) -> tuple[Link | None, Screened | None, str | None]:
        """The link to go on with, and a result or why there is none."""
        assert self._start is not None
        try:
            if link is None:
                if self._no_warm is not None:
                    return None, None, self._no_warm
                link = Link(self._start, self._shop)
                self._links.add(link)
                opened = await link.open(_patience_s(link))
                if opened.cold is not None:
                    self._no_warm = opened.cold
                    await self._drop(link)
                    return None, None, opened.cold
            answer = await link.ask(changes, progress=progress, within_s=_patience_s(link))
        except LinkLost as lost:
            await self._drop(link)
            self._count_loss(str(lost))
            return None, None, str(lost)
        except BaseException:
            await self._drop(link)
            raise
        if answer.spoilt is not None:
            # Its checkout is not the head any more. The verdict was made before that could matter.
            await self._drop(link)
            self._count_loss(f"the tests change {answer.spoilt!r} in the checkout")
            link = None
        if answer.cold is not None:
            return link, None, answer.cold
        found = self._understood(answer, progress)
        return link, found, answer.why

    async def _drop(self, link: Link | None) -> None:
        if link is not None:
            self._links.discard(link)
            await link.close()

    def _count_loss(self, why: str) -> None:
        self._lost += 1
        if self._lost >= STARTS:
            self._no_warm = why

    def _understood(self, answer: Answer, progress: bool) -> Screened | None:
        mode: Literal["swap", "fork"] = "swap" if answer.mode == "swap" else "fork"
        cases = tuple(TestCase(c.id, _status(c.status), 0, _line(c.message)) for c in answer.cases)
        told = Screened("unknown", mode, answer.why, fixed=answer.fixed, ran=answer.ran, cpu_ms=answer.cpu_ms)
        if answer.end == "missing":
            gone = tuple(i for i in (c.id for c in cases) if "[" not in i)
            if not gone:
                return None  # their parameters may be called differently in every run
            return replace(told, status="fail", missing=gone)
        if answer.end == "uncollected":
            cases = tuple(TestCase(c.id, "error", 0, CANNOT_COLLECT + c.message) for c in cases)
        if answer.end in {"failed", "stalled", "uncollected", "hung", "died", "stopped"}:
            return replace(told, status="fail", failed=cases, end=_WORDS.get(answer.end, ""))
        if answer.end != "ran":
            return None
        return replace(told, status=self._weighed(cases, answer.fixed, progress), failed=cases)

    def _weighed(
        self, failed: Sequence[TestCase], fixed: Sequence[str], progress: bool
    ) -> Literal["pass", "fail", "unknown"]:
        """Of a complete run in which nothing was lost, as `evaluate/compare.py` has it."""
        if fixed or not failed:
            return "pass"
        if {c.id for c in failed} <= set(self.wanted):
            return "fail" if progress else "pass"
        return "unknown"  # tests that are new, or known to be flaky

    async def _coldly(self, changes: Sequence[Change], why: str, progress: bool) -> Screened:
        with self._shop.workspace.checkout(self._tree, "screen") as candidate:
            try:
                candidate.apply(changes, self._shop.blobs)
            except WorkspaceError as error:
                return Screened("unknown", "cold", f"{why}; {error}" if why else str(error))
            limited = msgspec.structs.replace(self._source, timeout_s=self._limit_s())
            report = await run_suite(limited, candidate, self._shop)
        told = Screened("unknown", "cold", why, ran=len(report.cases))
        if report.status == "timeout":
            return replace(told, status="fail", end=_WORDS["hung"])
        if report.status == "broken":
            return replace(told, status="fail", failed=failing(report)[:20], end=_WORDS["uncollected"])
        if report.status not in {"green", "red"}:
            return replace(told, status="fail", end=f"the test command ends {report.status}")
        if not report.cases or not self._head.cases:
            return replace(told, status="pass" if report.status == "green" else "fail")
        passed = report.ids("passed")
        there = {case.id for case in report.cases}
        lost = tuple(c for c in report.cases if c.id in self.must and c.status != "passed")
        gone = tuple(sorted(i for i in self.must - there if "[" not in i))
        if lost or gone:
            return replace(told, status="fail", failed=lost, missing=gone)
        if any(i not in there for i in self.must):
            return told
        fixed = tuple(i for i in self.wanted if i in passed)
        bad = failing(report)
        if report.status == "red" and not bad and not fixed:
            return replace(told, status="fail", end=f"the test command exits {report.exit_code}")
        return replace(told, status=self._weighed(bad, fixed, progress), failed=bad, fixed=fixed)

    def _prepared(self) -> tuple[Start | None, str | None]:
        """What warm processes start with, or why there are none."""
        head = self._head
        runner = runner_of(parse(self._source.run))
        if runner is None:
            return None, "the test command is not pytest, or its interpreter cannot be told"
        if head.status not in {"green", "red"} or not head.cases:
            return None, f"the head's own run is {head.status}"
        start = Start(
            runner=runner,
            tree=self._tree,
            must=sorted(self.must),
            wanted=self.wanted,
            head_s=head.wall_ms / 1000,
            candidate_s=float(self._limit_s()),
            memory_bytes=MEMORY_BYTES,
        )
        return start, None

    def _limit_s(self) -> int:
        most = self._shop.timeout_s if self._source.timeout_s is None else self._source.timeout_s
        return min(most, max(LEAST_LIMIT_S, SLOWDOWN * -(-self._head.wall_ms // 1000)))


def _patience_s(link: Link) -> float:
    """The warm process keeps its own limits; this is for one that does not answer at all."""
    return 8 * link.candidate_s + 120


def _timed(found: Screened, began: float) -> Screened:
    return replace(found, wall_ms=round(1000 * (time.monotonic() - began)))


def _status(told: str) -> Literal["passed", "failed", "error", "skipped"]:
    return told if told in {"passed", "failed", "skipped"} else "error"  # type: ignore[return-value]


def _line(message: str) -> str:
    """The first line that says something, as the report of a cold run has it."""
    return next((line.strip() for line in message.splitlines() if line.strip()), "")
