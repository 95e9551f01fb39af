"""A report without some of its tests, as if they had not been run: status and exit code agree with what is left. Pure."""

from collections.abc import Callable

import msgspec

from loopwright.suite.outcome import uncollected
from loopwright.suite.report import SuiteReport

__all__ = ["without"]


def without(report: SuiteReport, gone: Callable[[str], bool]) -> SuiteReport:
    """`report` without the tests whose id is `gone`; itself when none is. The output is left as it is.

    A red run whose every failure is gone is green, if the failures were all that its exit code (1) spoke of; one of which nothing but
    skipped tests is left is empty. A run that says nothing test by test keeps its status.
    """
    cases = tuple(c for c in report.cases if not gone(c.id))
    if len(cases) == len(report.cases):
        return report
    left = msgspec.structs.replace(report, cases=cases, flaky=tuple(i for i in report.flaky if not gone(i)))
    if report.status not in {"green", "red"}:
        return left
    if not any(c.status != "skipped" for c in cases):
        return msgspec.structs.replace(left, status="empty")
    failed = left.ids("failed", "error")
    removed_failed = report.ids("failed", "error") - failed
    if report.status == "red" and not failed and removed_failed and report.exit_code == 1 and not uncollected(report):
        return msgspec.structs.replace(left, status="green", exit_code=0)
    return left
