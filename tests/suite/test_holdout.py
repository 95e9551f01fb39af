"""Which tests are held out, and that nothing of them reaches a proposer. Pure."""

from typing import Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwright.kernel.loop import EvaluatePolicy, TestsSource
from loopwright.kernel.values import BlobRef, Observation
from loopwright.suite.holdout import (
    NOTHING_HELD,
    Split,
    counts,
    head_split,
    hidden_files,
    shown,
    shown_observation,
    split,
)
from loopwright.suite.report import SuiteReport, TestCase
from loopwright.testing.memory import MemoryBlobs

Status = Literal["passed", "failed", "error", "skipped"]


def report(cases: dict[str, Status], tail: str = "") -> SuiteReport:
    red = any(s in {"failed", "error"} for s in cases.values())
    found = tuple(TestCase(i, s, 0, f"message of {i}" if s == "failed" else "") for i, s in cases.items())
    return SuiteReport(("pytest",), "red" if red else "green", int(red), 9, found, (), tail)


def grid(files: int, tests: int, fails: tuple[str, ...] = ()) -> SuiteReport:
    ids = [f"tests/test_{f}.py::test_{f}_{n}" for f in range(files) for n in range(tests)]
    return report({i: "failed" if i in fails else "passed" for i in ids})


SUITES = st.dictionaries(
    st.builds(lambda f, n: f"tests/test_{f}.py::test_{n}", st.integers(0, 9), st.integers(0, 9)),
    st.sampled_from(["passed", "passed", "passed", "failed", "error", "skipped"]),
    min_size=1,
    max_size=60,
)


@given(SUITES, st.floats(0, 1), st.text(max_size=5))
def test_a_split_is_a_partition_that_leaves_a_failing_test_and_a_passing_one_to_see(
    cases: dict[str, Status], fraction: float, salt: str
) -> None:
    whole = report(cases)
    drawn = split(whole, fraction, salt)
    assert drawn.visible | drawn.held == set(cases)
    assert not drawn.visible & drawn.held
    for some in (whole.ids("failed", "error"), whole.ids("passed", "skipped")):
        assert bool(some) == bool(some & drawn.visible) or drawn.files
    assert bool(whole.ids("failed", "error")) == bool(whole.ids("failed", "error") & drawn.visible)
    assert all((i.partition("::")[0] in drawn.files) <= (i in drawn.held) for i in cases)


@given(SUITES, st.floats(0, 1), st.text(max_size=5))
def test_what_is_shown_of_a_report_is_a_report_without_a_trace_of_the_rest(
    cases: dict[str, Status], fraction: float, salt: str
) -> None:
    whole = report(cases, tail="\n".join(cases))
    drawn = split(whole, fraction, salt)
    seen = shown(whole, drawn)
    assert {c.id for c in seen.cases} == drawn.visible
    assert {
        i for i in cases if i in [w.removeprefix("FAILED ").split(" - ")[0] for w in seen.output_tail.split("\n")]
    } <= drawn.visible
    fails = seen.ids("failed", "error")
    if drawn.held and seen.ids("passed", "failed", "error"):
        assert (seen.status, seen.exit_code) == (("red", 1) if fails else ("green", 0))


def test_the_same_head_gives_the_same_split_and_another_one_another() -> None:
    whole = grid(1, 40)
    assert split(whole, 0.3, "0:a") == split(whole, 0.3, "0:a")
    drawn = {split(whole, 0.3, f"0:{tree}").held for tree in "abcdef"}
    assert len(drawn) == 6
    assert all(len(held) == 12 for held in drawn)


def test_failing_and_passing_tests_are_held_out_in_the_same_share() -> None:
    fails = tuple(f"tests/test_0.py::test_0_{n}" for n in range(10))
    drawn = split(grid(1, 40, fails), 0.3, "s")
    assert (len(drawn.held & set(fails)), len(drawn.held - set(fails))) == (3, 9)


def test_one_failing_test_stays_visible_whatever_the_share() -> None:
    fails = ("tests/test_0.py::test_0_1",)
    assert fails[0] in split(grid(1, 4, fails), 1.0, "s").visible
    assert fails[0] in split(grid(8, 4, fails), 1.0, "s").visible


def test_a_small_share_of_a_small_suite_still_holds_a_test_out() -> None:
    assert len(split(grid(1, 3), 0.1, "s").held) == 1
    assert split(grid(1, 3), 0.0, "s").held == frozenset()
    assert split(SuiteReport(("make",), "red", 1, 9, (), (), "x"), 0.5, "s") == NOTHING_HELD


def test_whole_files_are_held_out_where_there_are_enough_and_none_has_a_visible_failing_test() -> None:
    fails = ("tests/test_3.py::test_3_0", "tests/test_3.py::test_3_1")
    for salt in "abcdefgh":
        drawn = split(grid(10, 5, fails), 0.3, salt)
        assert drawn.files
        assert "tests/test_3.py" not in drawn.files
        assert len(drawn.held) in range(13, 18)
        # one of the two failing tests is held alone; everything else is held by whole files
        (alone,) = {i for i in drawn.held if i.partition("::")[0] not in drawn.files}
        assert alone in fails
    assert not split(grid(5, 5, fails), 0.3, "a").files


def test_a_file_with_failing_tests_is_held_when_others_stay_visible() -> None:
    fails = tuple(f"tests/test_{f}.py::test_{f}_0" for f in range(6))
    drawn = split(grid(6, 3, fails), 0.5, "s")
    assert len(drawn.files) == 3
    assert len(drawn.held & set(fails)) == 3


def test_a_huge_file_is_never_the_whole_holdout() -> None:
    cases: dict[str, Status] = {f"tests/test_big.py::test_{n}": "passed" for n in range(90)}
    cases |= {f"tests/test_{f}.py::test_one": "passed" for f in range(10)}
    for salt in "abcdef":
        assert "tests/test_big.py" not in split(report(cases), 0.1, salt).files


def test_tests_that_the_report_did_not_name_follow_their_file_or_their_function() -> None:
    drawn = Split(
        frozenset({"a.py::test_p[1]", "a.py::test_x"}),
        frozenset({"b.py::test_y", "a.py::test_q[1]", "a.py::test_p[2]"}),
        frozenset({"b.py"}),
    )
    assert drawn.holds("b.py::test_new")
    assert drawn.holds("a.py::test_q[7]")
    assert not drawn.holds("a.py::test_p[3]")
    assert not drawn.holds("a.py::test_new")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("FAILED b.py::test_y - x", True),
        ("in test_q", True),
        ("in test_p", False),
        ("sub.py failed", False),
        ("test_yes", False),
    ],
)
def test_a_text_tells_held_tests_by_their_file_or_their_own_name(text: str, told: bool) -> None:
    visible = frozenset({"a.py::test_p[1]"})
    held = frozenset({"b.py::test_y", "a.py::test_q[1]", "a.py::test_p[2]"})
    assert Split(visible, held, frozenset({"b.py"})).names(text) == told


def test_a_report_whose_only_failures_are_held_out_looks_green_with_the_counts() -> None:
    whole = report({"a::x": "passed", "a::y": "failed", "a::z": "passed"}, tail="FAILED a::y - message of a::y")
    drawn = Split(frozenset({"a::x"}), frozenset({"a::y", "a::z"}))
    seen = shown(whole, drawn)
    assert (seen.status, seen.exit_code, seen.output_tail) == ("green", 0, "held out: 1 pass, 1 fail")
    assert shown(whole, NOTHING_HELD) is whole


def test_a_held_test_that_is_flaky_counts_as_passing() -> None:
    whole = msgspec.structs.replace(report({"a::x": "failed", "a::y": "failed"}), flaky=("a::y",))
    drawn = Split(frozenset({"a::x"}), frozenset({"a::y"}))
    assert counts(whole, drawn) == "held out: 1 pass, 0 fail"
    assert shown(whole, drawn).flaky == ()


# --- observations -----------------------------------------------------------------------------------------------------
def observation(whole: SuiteReport, blobs: MemoryBlobs) -> Observation:
    content = blobs.put(msgspec.json.encode(whole), "application/json")
    return Observation("o1", "tests: pytest", 0, content, "untrusted", "2 of 3 tests fail: a::y, a::z", goal_met=False)


def test_an_observation_is_shown_without_the_names_and_messages_of_held_tests() -> None:
    blobs = MemoryBlobs()
    whole = report({"a::x": "passed", "a::y": "failed", "a::z": "failed"}, tail="a::y and a::z fail")
    seen = shown_observation(observation(whole, blobs), Split(frozenset({"a::x", "a::y"}), frozenset({"a::z"})), blobs)
    assert seen.summary == "1 of 2 visible tests fails: a::y; held out: 0 pass, 1 fail"
    assert seen.goal_met is False
    assert b"a::z" not in blobs.get(seen.content)
    only = shown_observation(observation(whole, blobs), Split(frozenset({"a::x"}), frozenset({"a::y", "a::z"})), blobs)
    assert only.summary == "all 1 visible tests pass; held out: 0 pass, 2 fail"


def test_observations_of_other_things_are_shown_as_they_are() -> None:
    blobs = MemoryBlobs()
    other = Observation("o2", "documents", 0, BlobRef("0" * 64, 3, "text/plain", "a::z"), "trusted", "one page")
    assert shown_observation(other, Split(frozenset(), frozenset({"a::z"})), blobs) is other


def test_the_split_of_a_head_is_drawn_from_the_report_of_the_loops_own_tests() -> None:
    blobs = MemoryBlobs()
    whole = grid(1, 20)
    other = msgspec.structs.replace(grid(1, 3), command=("make",))
    seen = (observation(other, blobs), observation(whole, blobs))
    policy = EvaluatePolicy(tests=TestsSource("pytest"), holdout=0.3)
    drawn = head_split(seen, policy, seed=7, tree="abc", blobs=blobs)
    assert drawn == split(whole, 0.3, "7:abc")
    assert (
        head_split(seen, EvaluatePolicy(tests=TestsSource("pytest")), seed=7, tree="abc", blobs=blobs) == NOTHING_HELD
    )
    assert head_split(seen[:1], policy, seed=7, tree="abc", blobs=blobs) == NOTHING_HELD


# --- files that are taken away ----------------------------------------------------------------------------------------
def test_held_files_are_hidden_but_for_those_that_visible_ones_import() -> None:
    files = frozenset({"tests/test_a.py", "tests/test_base.py", "tests/test_gone.py", "tests/test_fix.py"})
    held = frozenset(f"{f}::test" for f in files)
    drawn = Split(frozenset({"tests/test_b.py::test"}), held, files)
    texts = {
        "tests/test_a.py": "from test_b import x\n",
        "tests/test_base.py": "",
        "tests/test_fix.py": "",
        "tests/test_b.py": "import os\nfrom tests.test_base import (\n    Base,\n)\n",
        "tests/conftest.py": 'pytest_plugins = ["tests.test_fix"]\n',
    }
    assert hidden_files(drawn, texts, texts.get) == ("tests/test_a.py",)


def test_tests_that_are_held_one_by_one_hide_no_file() -> None:
    drawn = Split(frozenset({"t.py::test_a"}), frozenset({"t.py::test_b"}))
    assert hidden_files(drawn, ["t.py"], lambda _: "") == ()
