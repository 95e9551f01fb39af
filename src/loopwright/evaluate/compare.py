"""Two reports of one suite, before and after a proposal → what the proposal did to each test. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from loopwright.suite.holdout import NOTHING_HELD, Split
from loopwright.suite.outcome import describe, failing, last_line, uncollected
from loopwright.suite.report import SuiteReport

__all__ = ["Comparison", "compare", "named", "overfitted", "passes", "summarise"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """All as ids. `broken`: passed before and now fail, err or are skipped; `missing`: passed before and are not there now;
    `fixed`: failed before, for sure, and pass now; `wanted`: all that failed before; `gone`: failed before and are not there now, those
    aside whose file could not even be collected and now can. New tests count for nothing: a proposal could write as many as it likes.
    """

    broken: tuple[str, ...]
    missing: tuple[str, ...]
    fixed: tuple[str, ...]
    wanted: tuple[str, ...]
    gone: tuple[str, ...] = ()


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
        gone=tuple(sorted(_gone(before, after, wanted))),
    )


def _gone(before: SuiteReport, after: SuiteReport, wanted: frozenset[str]) -> frozenset[str]:
    """Deleting a test that fails is no repair of it. Parametrised ones may only be called otherwise."""
    lost = wanted - after.ids("passed", "failed", "error", "skipped") - {c.id for c in uncollected(before)}
    return lost - _renamed(lost, wanted, after.ids("passed", "failed", "error", "skipped") - before.ids("passed"))


def passes(change: Comparison, before: SuiteReport, after: SuiteReport, *, progress: bool) -> bool:
    """Nothing is lost, and something is won or all is green. Without `progress` (a guard) it is enough that nothing fails that did
    not fail before. What failed and is in `after.flaky` counts as passed."""
    if change.broken or change.missing or change.gone:
        return False
    fails = frozenset(c.id for c in failing(after))
    green = after.status == "green" or (before.status == "green" and bool(after.flaky) and not fails)
    if change.fixed:
        return True
    # Green because what failed is skipped now repairs nothing.
    if green and not (progress and change.wanted):
        return True
    return (
        not progress and bool(before.cases) and bool(after.cases) and bool(fails) and fails <= frozenset(change.wanted)
    )


def summarise(
    change: Comparison,
    after: SuiteReport,
    *,
    passed: bool,
    split: Split = NOTHING_HELD,
    order: Mapping[str, str] | None = None,
) -> str:
    """One line with the numbers, which proposers read: of tests that `split` holds out it has the number only. `order` says of a test
    that fails because of another one which that is."""
    if change.broken or change.missing or change.gone:
        return "; ".join(_losses(change, after, split, order or {}))
    passing = len(after.ids("passed"))
    if not after.cases:
        return "the test command passes" if after.status == "green" else f"the test command exits {after.exit_code}"
    if change.fixed:
        return f"fixes {_wins(change, split)}, breaks none ({passing} pass){_overfitted(change, split)}"
    if passed:
        return f"breaks none ({passing} pass)"
    if change.wanted:
        seen = [i for i in change.wanted if not split.holds(i)]
        first = f": {seen[0]}{_reason(seen[0], after)}" if seen else ""
        return f"fixes {_wins(change, split)}{first}"
    if new := failing(after):
        told = [c.id for c in new if not split.holds(c.id)]
        if not told:
            return f"{_held_out(len(new))} fail{'s' if len(new) == 1 else ''} that did not before"
        return f"{describe(told)} fails (a new test{_reason(told[0], after)})"
    said = last_line(after.output_tail)
    return f"{passing} pass, but the command exits {after.exit_code}{'' if split.names(said) else f': {said}'}"


def overfitted(change: Comparison, split: Split) -> bool:
    """Every failing test that was shown is fixed, and of two or more that were not, none: it may know the tests and not the fault.

    It may also repair one of several independent faults; so this is a question to a person and no refusal.
    """
    held = [i for i in change.wanted if split.holds(i)]
    seen = [i for i in change.wanted if not split.holds(i)]
    fixed = frozenset(change.fixed)
    return len(held) > 1 and fixed.isdisjoint(held) and bool(seen) and fixed.issuperset(seen)


def named(ids: Sequence[str], split: Split) -> str:
    """A few names, and of those that are held out the number."""
    told = [i for i in ids if not split.holds(i)]
    held = f"{_held_out(len(ids) - len(told))}" if len(told) < len(ids) else ""
    return " and ".join(part for part in (describe(told), held) if part)


def _losses(change: Comparison, after: SuiteReport, split: Split, order: Mapping[str, str]) -> Iterator[str]:
    broken = [i for i in change.broken if not split.holds(i)]
    if broken:
        before = f"; fails only after {order[broken[0]]}" if broken[0] in order else ""
        yield f"breaks {describe(broken)} (was passing{_reason(broken[0], after)}{before})"
    if hidden := len(change.broken) - len(broken):
        yield f"breaks {_held_out(hidden)}"
    missing = [i for i in change.missing if not split.holds(i)]
    if missing:
        yield f"{describe(missing)} passed before and is no longer collected"
    gone = [i for i in change.gone if not split.holds(i)]
    if gone:
        yield f"{describe(gone)} failed before and is no longer collected"
    if hidden := len(change.gone) - len(gone):
        yield f"{_held_out(hidden)} failed before and {'is' if hidden == 1 else 'are'} no longer collected"
    if hidden := len(change.missing) - len(missing):
        yield f"{_held_out(hidden)} passed before and {'is' if hidden == 1 else 'are'} no longer collected"


def _wins(change: Comparison, split: Split) -> str:
    """`2 of 3 failing tests`, or `3 of 3 visible, 0 of 1 held out`."""
    held = [i for i in change.wanted if split.holds(i)]
    if not held:
        return f"{len(change.fixed) or 'none'} of {_tests(len(change.wanted))}"
    fixed = sum(split.holds(i) for i in change.fixed)
    return (
        f"{len(change.fixed) - fixed} of {len(change.wanted) - len(held)} visible failing tests, "
        f"{fixed} of {len(held)} held out"
    )


def _overfitted(change: Comparison, split: Split) -> str:
    """A remark where everything that could be seen is fixed and not everything that could not."""
    left = [i for i in change.wanted if i not in change.fixed]
    return "; it may fit no more than the tests that were shown" if left and all(map(split.holds, left)) else ""


def _renamed(missing: frozenset[str], passed: frozenset[str], passes: frozenset[str]) -> frozenset[str]:
    """Parametrised tests whose ids differ from run to run (a date, an address): the same function has as many that pass."""
    had, has = Counter(map(_function, passed)), Counter(map(_function, passes))
    return frozenset(i for i in missing if "[" in i and has[_function(i)] >= had[_function(i)])


def _function(test_id: str) -> str:
    return test_id.partition("[")[0]


def _tests(number: int) -> str:
    return f"{number} failing test{'s' if number != 1 else ''}"


def _held_out(number: int) -> str:
    return f"{number} held-out test{'s' if number != 1 else ''}"


def _reason(test_id: str, report: SuiteReport) -> str:
    message = next((c.message for c in report.cases if c.id == test_id), "")
    return f": {message}" if message else ""
