"""Looks at a tree by running its tests in a fresh checkout."""

from contextlib import AbstractContextManager

import msgspec

from loopwright.errors import ActionError
from loopwright.kernel.loop import TestsSource
from loopwright.kernel.values import Observation
from loopwright.suite.outcome import CANNOT_COLLECT, describe, failing, last_line, stable, uncollected
from loopwright.suite.quarantine import Quarantine
from loopwright.suite.report import SuiteReport
from loopwright.suite.run import confirm_failures, run_suite
from loopwright.workspace.protocol import Candidate
from loopwright.workspace.workshop import Workshop

__all__ = ["TestsObserver"]


class TestsObserver:
    """The goal is met when at least one test ran and none fails for sure. What failed once and then passed is named, and is no
    failure: a search cannot repair it, and a verifier could not tell whether it did."""

    __test__ = False

    def __init__(self, source: TestsSource) -> None:
        self._source = source

    async def observe(
        self, tree: str, observation_id: str, shop: Workshop, quarantine: Quarantine | None = None
    ) -> Observation:
        """The content is the `SuiteReport` as JSON, without the tests in `quarantine`; it quotes the repository's own output and is not
        trusted.

        Raises: `ActionError` when the suite says nothing about the tree: not found, empty, not collectable, out of time.
        """
        source = self._source

        def checkout() -> AbstractContextManager[Candidate]:
            return shop.workspace.checkout(tree, "observe")

        shop.progress(f"running {source.run}")
        taken_at_ms = shop.now_ms()
        with checkout() as candidate:
            report = await run_suite(source, candidate, shop)
        self._refuse_unusable(report, shop)
        if report.status == "red":
            shop.progress(f"{_count(len(failing(report)), 'test')} failing; running them once more")
            report = await confirm_failures(report, source, checkout, shop)
        notes = ""
        if quarantine is not None:
            notes = "".join(f"; {note}" for note in quarantine.notes(report))
            report = quarantine.set_aside(report)
            if report.status == "empty":
                message = f"tests: every test of {source.run!r} is in quarantine; none is left to judge by"
                raise ActionError(message, signature=message)
        content = shop.blobs.put(msgspec.json.encode(report), "application/json")
        return Observation(
            id=observation_id,
            source=f"tests: {source.run}",
            taken_at_ms=taken_at_ms,
            content=content,
            trust="untrusted",
            summary=_summary(report) + notes,
            goal_met=_goal_met(report),
        )

    def _refuse_unusable(self, report: SuiteReport, shop: Workshop) -> None:
        message = _complaint(self._source, report, shop.timeout_s)
        if message is not None:
            status = "timeout" if report.status == "timeout" else "error"
            raise ActionError(message, signature=stable(message), status=status)


def _complaint(source: TestsSource, report: SuiteReport, timeout_s: int) -> str | None:
    """Why the report cannot be used, and what to do about it; `None` for a report that can."""
    command = repr(source.run)
    if report.status == "not_found":
        return f"tests: command not found: {report.command[0]!r} of {command}; install it or correct the command"
    if report.status == "timeout":
        limit_s = timeout_s if source.timeout_s is None else source.timeout_s
        return f"tests: {command} did not end within {limit_s} s; give it more time (`timeout_minutes`) or fewer tests"
    if report.status == "empty":
        skipped = len(report.cases)
        found = f"all {skipped} tests were skipped by" if skipped else "nothing was collected by"
        return f"tests: {found} {command}; name the folder or file that holds the tests"
    if broken := uncollected(report):
        first = broken[0]
        others = f" (and {len(broken) - 1} more)" if len(broken) > 1 else ""
        error = first.message.removeprefix(CANNOT_COLLECT)
        return (
            f"tests: the suite cannot be collected: {first.id}: {error}{others}; correct it so that the tests can start"
        )
    if report.status == "broken":
        said = last_line(report.output_tail) or "no output"
        return f"tests: {command} failed by itself with exit code {report.exit_code}: {said}; run it by hand to see why"
    return None


def _goal_met(report: SuiteReport) -> bool:
    if report.status == "green":
        return True
    # a red run is forgiven only where every failure has a name and every name passed when it was repeated
    failed = report.ids("failed", "error")
    return bool(failed) and not failing(report) and bool(report.ids("passed") or report.flaky) and report.exit_code == 1


def _summary(report: SuiteReport) -> str:
    total = len([c for c in report.cases if c.status != "skipped"])
    bad = [c.id for c in failing(report)]
    flaky = f"; flaky: {describe(report.flaky)}" if report.flaky else ""
    if bad:
        return f"{len(bad)} of {_count(total, 'test')} fail{'s' if len(bad) == 1 else ''}: {describe(bad)}{flaky}"
    if not report.cases:
        verdict = "passes" if report.status == "green" else f"fails with exit code {report.exit_code}"
        return f"the test command {verdict}{flaky}"
    if report.status == "red" and not report.flaky:
        return (
            f"{_count(total, 'test')} pass, but the command exits {report.exit_code}: {last_line(report.output_tail)}"
        )
    return f"{_passing(total)}{flaky}"


def _passing(number: int) -> str:
    return f"{_count(number, 'test')} pass{'es' if number == 1 else ''}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
