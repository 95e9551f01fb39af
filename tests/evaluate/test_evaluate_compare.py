"""What a proposal did to each test, from two reports. Pure."""

from typing import Literal

from hypothesis import given
from hypothesis import strategies as st

from loopwright.evaluate.compare import compare, passes, summarise
from loopwright.suite.report import SuiteReport, TestCase

Status = Literal["passed", "failed", "error", "skipped"]
STATUSES: list[Status] = ["passed", "failed", "error", "skipped"]


def report(cases: dict[str, Status]) -> SuiteReport:
    red = any(status in {"failed", "error"} for status in cases.values())
    found = tuple(TestCase(i, status, 0) for i, status in cases.items())
    return SuiteReport(("t",), "red" if red else "green", int(red), 0, found, (), "FAILED")


def passing(before: dict[str, Status], after: dict[str, Status], *, progress: bool) -> bool:
    one, two = report(before), report(after)
    return passes(compare(one, two), one, two, progress=progress)


def test_a_guard_refuses_a_new_failure_beside_the_old_ones() -> None:
    before: dict[str, Status] = {"a": "passed", "b": "failed"}
    assert passing(before, {"a": "passed", "b": "failed"}, progress=False)
    assert not passing(before, {"a": "passed", "b": "failed", "c": "failed"}, progress=False)


def test_what_failed_and_is_gone_is_no_progress_while_others_fail() -> None:
    assert not passing({"a": "failed", "b": "failed"}, {"b": "failed"}, progress=True)


def test_fewer_tests_of_a_parametrised_function_are_missing_and_as_many_under_other_names_are_not() -> None:
    before = report({"t[1]": "passed", "t[2]": "passed"})
    assert compare(before, report({"t[3]": "passed", "t[4]": "passed"})).missing == ()
    assert compare(before, report({"t[3]": "passed"})).missing == ("t[1]", "t[2]")
    assert compare(before, report({"t[3]": "passed", "t[4]": "failed"})).missing == ("t[1]", "t[2]")


def test_a_failing_test_that_is_deleted_or_skipped_is_not_repaired() -> None:
    """All is green then, and what was asked for is gone. One real repair beside it does not excuse it."""
    before: dict[str, Status] = {"a": "passed", "b": "failed", "c": "failed"}
    assert not passing({"a": "passed", "b": "failed"}, {"a": "passed"}, progress=True)
    assert not passing({"a": "passed", "b": "failed"}, {"a": "passed", "b": "skipped"}, progress=True)
    assert not passing(before, {"a": "passed", "b": "passed"}, progress=True)
    assert passing(before, {"a": "passed", "b": "passed", "c": "failed"}, progress=True)
    change = compare(report(before), report({"a": "passed", "b": "passed"}))
    assert summarise(change, report({"a": "passed"}), passed=False) == "c failed before and is no longer collected"


def test_a_file_that_can_be_collected_at_last_has_other_ids_than_before() -> None:
    before = SuiteReport(
        ("t",), "red", 1, 0, (TestCase("test_a.py", "error", 0, "cannot be collected: no module x"),), (), ""
    )
    assert compare(before, report({"test_a.py::test_x": "passed"})).gone == ()


@given(st.dictionaries(st.sampled_from("abcd"), st.sampled_from(STATUSES), min_size=1))
def test_nothing_passes_that_leaves_a_failing_test_away(before: dict[str, Status]) -> None:
    bad = [i for i, status in before.items() if status in {"failed", "error"}]
    after: dict[str, Status] = {"new": "passed"}
    after.update({i: "passed" for i in before if i not in bad[:1]})
    if bad:
        assert not passing(before, after, progress=True)


SUITES = st.dictionaries(st.sampled_from("abcd"), st.sampled_from(STATUSES), min_size=1)


@given(SUITES, SUITES, st.booleans())
def test_no_test_that_passed_is_ever_lost_by_what_passes(
    before: dict[str, Status], after: dict[str, Status], progress: bool
) -> None:
    if passing(before, after, progress=progress):
        assert all(after.get(i) == "passed" for i, status in before.items() if status == "passed")


@given(SUITES, SUITES)
def test_the_summary_is_one_line_and_never_claims_less_loss_than_there_is(
    before: dict[str, Status], after: dict[str, Status]
) -> None:
    change = compare(report(before), report(after))
    said = summarise(change, report(after), passed=False)
    assert said
    assert "\n" not in said
    assert ("breaks none" in said) <= (not change.broken and not change.missing)
