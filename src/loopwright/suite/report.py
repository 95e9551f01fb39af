"""The result of one run of a test suite, as values: what observers report, verifiers compare and repair localises from."""

from typing import Literal

from loopwright.kernel.values import Value

__all__ = ["SuiteReport", "TestCase"]


class TestCase(Value, frozen=True):
    """`id` is the runner's own way to name the test (pytest: the node id). `message` is the failure's last line, `detail` its text."""

    __test__ = False

    id: str
    status: Literal["passed", "failed", "error", "skipped"]
    duration_ms: int
    message: str = ""
    detail: str = ""


class SuiteReport(Value, frozen=True):
    """`status`: `green` (all collected tests pass), `red`, `empty` (no test was collected: never a success), `broken` (the suite
    could not be collected or its command failed by itself), `timeout`, `not_found`.

    `cases` is empty when the command writes no JUnit XML; then only its exit code speaks. `flaky` are ids that failed and then
    passed on an unchanged tree.
    """

    command: tuple[str, ...]
    status: Literal["green", "red", "empty", "broken", "timeout", "not_found"]
    exit_code: int
    wall_ms: int
    cases: tuple[TestCase, ...]
    flaky: tuple[str, ...]
    output_tail: str

    def ids(self, *statuses: str) -> frozenset[str]:
        return frozenset(c.id for c in self.cases if c.status in statuses)
