"""Two reports of one suite, before and after a proposal → what the proposal did to each test. Pure."""

from collections import Counter
from dataclasses import dataclass

from loopwright.suite.outcome import describe, failing, last_line
from loopwright.suite.report import SuiteReport

__all__ = ["Comparison", "compare", "passes", "summarise"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """All as ids. `broken`: passed before and now fail, err or are skipped; `missing`: passed before and are not there now;
    `fixed`: failed before, for sure, and pass now; `wanted`: all that failed before. New tests count for nothing: a proposal
    could write as many as it likes.
    """

    broken: tuple[str, ...]
    missing: tuple[str, ...]
    fixed: tuple[str, ...]
    wanted: tuple[str, ...]


def compare(before: SuiteReport, after: SuiteReport) -> Comparison:
    """Empty where one of the reports names no tests: then only the exit code can be compared."""
    if not before.cases or not after.cases:
        return Comparison((), (), (), ())
    passed, passes = before.ids("passed"), after.ids("passed")
    wanted = frozenset(c.id for c in failing(before))
    lost = passed - passes
    missing = lost - after.ids("passed", "failed", "error", "skipped")
    return Comparison(
        broken=tuple(sorted(lost - missing)),
        missing=tuple(sorted(missing - _renamed(missing, passed, passes))),
        fixed=tuple(sorted(wanted & passes)),
        wanted=tuple(sorted(wanted)),
    )


def passes(change: Comparison, before: SuiteReport, after: SuiteReport, *, progress: bool) -> bool:
    """Nothing is lost, and something is won or all is green. Without `progress` (a guard) it is enough that nothing fails that did
    not fail before. What failed and is in `after.flaky` counts as passed."""
    if change.broken or change.missing:
        return False
    fails = frozenset(c.id for c in failing(after))
    green = after.status == "green" or (before.status == "green" and bool(after.flaky) and not fails)
    if green or change.fixed:
        return True
    return (
        not progress and bool(before.cases) and bool(after.cases) and bool(fails) and fails <= frozenset(change.wanted)
    )


def summarise(change: Comparison, after: SuiteReport, *, passed: bool) -> str:
    """One line with the numbers."""
    if change.broken or change.missing:
        parts = []
        if change.broken:
            parts.append(f"breaks {describe(change.broken)} (was passing{_reason(change.broken[0], after)})")
        if change.missing:
            parts.append(f"{describe(change.missing)} passed before and is no longer collected")
        return "; ".join(parts)
    passing = len(after.ids("passed"))
    if not after.cases:
        return "the test command passes" if after.status == "green" else f"the test command exits {after.exit_code}"
    if change.fixed:
        return f"fixes {len(change.fixed)} of {_tests(len(change.wanted))}, breaks none ({passing} pass)"
    if passed:
        return f"breaks none ({passing} pass)"
    if change.wanted:
        return f"fixes none of {_tests(len(change.wanted))}: {change.wanted[0]}{_reason(change.wanted[0], after)}"
    if new := failing(after):
        return f"{describe([c.id for c in new])} fails (a new test{_reason(new[0].id, after)})"
    return f"{passing} pass, but the command exits {after.exit_code}: {last_line(after.output_tail)}"


def _renamed(missing: frozenset[str], passed: frozenset[str], passes: frozenset[str]) -> frozenset[str]:
    """Parametrised tests whose ids differ from run to run (a date, an address): the same function has as many that pass."""
    had, has = Counter(map(_function, passed)), Counter(map(_function, passes))
    return frozenset(i for i in missing if "[" in i and has[_function(i)] >= had[_function(i)])


def _function(test_id: str) -> str:
    return test_id.partition("[")[0]


def _tests(number: int) -> str:
    return f"{number} failing test{'s' if number != 1 else ''}"


def _reason(test_id: str, report: SuiteReport) -> str:
    message = next((c.message for c in report.cases if c.id == test_id), "")
    return f": {message}" if message else ""
