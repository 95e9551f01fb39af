"""Judges a proposal by the tests: a cold, complete run in a fresh copy, compared test by test with the run before.

Protected files are put back before every run, so no proposal can weaken what judges it; a success is believed only when it repeats,
a failure too. The tests share a process with the code under test: what forges reports from inside needs the sandbox and a review.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import msgspec

from loopwright.errors import WorkspaceError
from loopwright.evaluate.compare import Comparison, compare, passes, summarise
from loopwright.evaluate.footprint import changed_paths
from loopwright.evaluate.protocol import JudgeRequest
from loopwright.kernel.loop import TestsSource
from loopwright.kernel.values import Verdict
from loopwright.suite.command import parse
from loopwright.suite.outcome import CANNOT_COLLECT, decode_suite, describe, last_line, uncollected
from loopwright.suite.report import SuiteReport
from loopwright.suite.run import flaky_of, passing_again, run_once, run_suite
from loopwright.workspace.patterns import matches
from loopwright.workspace.protocol import Candidate
from loopwright.workspace.workshop import Workshop

__all__ = ["TestsVerifier"]

RERUNS = 2
"""How often a test that a proposal seems to break must pass in a row before the break counts as a flake."""
SLOWDOWN = 10
LEAST_LIMIT_S = 30
"""A proposal that makes the tests hang is given up after ten times the time of the run before, and never before half a minute."""


class TestsVerifier:
    """`name` is `tests` or `guard`. A guard does not score: what it guards is not what the loop improves."""

    __test__ = False

    def __init__(self, source: TestsSource, name: str = "tests") -> None:
        self._source = source
        self._name = name
        self._measured: dict[str, SuiteReport] = {}
        self._measuring = asyncio.Lock()

    async def judge(self, request: JudgeRequest, shop: Workshop) -> Verdict:
        """`pass`: no test that passed fails, errs, is skipped or is missing, and one that failed passes, or all pass.

        Raises: `UsageError`, `SandboxError`; what the proposal does wrong is a verdict.
        """
        protect = request.loop.evaluate.protect
        undone = tuple(c.path for c in request.proposal.changes if matches(c.path, protect))
        if request.proposal.changes and len(undone) == len(request.proposal.changes):
            return Verdict(self._name, "fail", f"the proposal only edits protected files: {describe(undone)}")
        before = await self._before(request, shop)
        source = _limited(self._source, before, shop)
        trial = _Trial(request, source, shop)
        try:
            with trial.copy() as candidate:
                clean = changed_paths(candidate)
                shop.progress(f"testing {request.proposal.title}")
                after = await run_suite(source, candidate, shop)
                littered = sorted({path for path, _ in changed_paths(candidate) - clean})
        except WorkspaceError as error:
            return Verdict(self._name, "fail", f"the proposal cannot be applied: {error}")
        verdict = _unusable(self._name, after, source) or await self._weigh(before, after, trial)
        notes = []
        if undone:
            notes.append(f"edits of protected files undone: {describe(undone)}")
        if littered:
            notes.append(f"the tests write into the checkout: {describe(littered)}")
        evidence = verdict.evidence or shop.blobs.put(msgspec.json.encode(after), "application/json")
        return msgspec.structs.replace(verdict, summary="; ".join([verdict.summary, *notes]), evidence=evidence)

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
                    self._measured = {request.tree: await run_suite(self._source, candidate, shop)}
            return self._measured[request.tree]

    async def _weigh(self, before: SuiteReport, after: SuiteReport, trial: "_Trial") -> Verdict:
        change = compare(before, after)
        flaky: frozenset[str] = frozenset()
        if change.broken:
            flaky = await flaky_of(change.broken, trial.source, trial.copy, trial.shop, reruns=RERUNS)
            broken = tuple(i for i in change.broken if i not in flaky)
            change = Comparison(broken, change.missing, change.fixed, change.wanted)
            after = msgspec.structs.replace(after, flaky=tuple(sorted(flaky)))
        passed = passes(change, before, after, progress=self._name == "tests")
        status: Literal["pass", "fail", "inconclusive"] = "pass" if passed else "fail"
        summary = summarise(change, after, passed=passed)
        if passed and (doubt := await self._doubt(change, before, after, trial)):
            status, summary = "inconclusive", doubt
        if flaky:
            summary += f"; flaky: {describe(sorted(flaky))}"
        return Verdict(
            verifier=self._name,
            status=status,
            summary=summary,
            score=float(len(after.ids("passed") | flaky)) if after.cases and self._name == "tests" else None,
            evidence=trial.shop.blobs.put(msgspec.json.encode(after), "application/json"),
        )

    async def _doubt(self, change: Comparison, before: SuiteReport, after: SuiteReport, trial: "_Trial") -> str | None:
        """What of the success does not repeat."""
        if change.fixed:
            repeated = await passing_again(change.fixed, trial.source, trial.copy, trial.shop)
            unsure = [i for i in change.fixed if i not in repeated]
            return f"{describe(unsure)} passed once and failed when it was repeated" if unsure else None
        if after.status == "green" != before.status:
            again = await run_once(trial.source, trial.copy, trial.shop)
            if again.status != "green":
                return "the test command passed once and failed when it was repeated"
        return None


class _Trial:
    """Fresh copies of the head with the proposal applied and the protected files put back."""

    def __init__(self, request: JudgeRequest, source: TestsSource, shop: Workshop) -> None:
        self._request = request
        self.source = source
        self.shop = shop

    @contextmanager
    def copy(self) -> Iterator[Candidate]:
        request, shop = self._request, self.shop
        with shop.workspace.checkout(request.tree, "evaluate") as candidate:
            candidate.apply(request.proposal.changes, shop.blobs)
            candidate.restore(request.loop.evaluate.protect)
            yield candidate


def _unusable(name: str, after: SuiteReport, source: TestsSource) -> Verdict | None:
    """The verdict on a run that says nothing test by test."""
    if after.status == "timeout":
        return Verdict(name, "fail", f"the tests did not end within {source.timeout_s} s")
    if after.status == "empty":
        return Verdict(name, "fail", "no test runs any more")
    if after.status == "not_found":
        return Verdict(name, "inconclusive", f"the test command {after.command[0]!r} was not found")
    if after.status == "broken":
        broken = uncollected(after)
        said = (
            f"{broken[0].id}: {broken[0].message.removeprefix(CANNOT_COLLECT)}"
            if broken
            else last_line(after.output_tail)
        )
        return Verdict(name, "crash", f"the tests cannot be run any more: {said or f'exit code {after.exit_code}'}")
    return None


def _limited(source: TestsSource, before: SuiteReport, shop: Workshop) -> TestsSource:
    limit_s = shop.timeout_s if source.timeout_s is None else source.timeout_s
    usual_s = max(LEAST_LIMIT_S, SLOWDOWN * -(-before.wall_ms // 1000))
    return msgspec.structs.replace(source, timeout_s=min(limit_s, usual_s))
