"""Proposals judged by real runs of real suites: what is kept, what is refused, and what no proposal can do."""

import dataclasses
from pathlib import Path

import msgspec
import pytest

from loopwright.evaluate.tests import TestsVerifier
from loopwright.kernel.loop import EvaluatePolicy, TestsSource
from loopwright.kernel.values import Change, Observation
from loopwright.suite.report import SuiteReport
from loopwright.workspace.workshop import Workshop
from support.judging import judge, make_loop, observed
from support.repositories import added, deleted
from support.workshops import make_shop, pytest_source

CODE = "def add(a, b):\n    return a - b\n\ndef sub(a, b):\n    return a - b\n\ndef mul(a, b):\n    return a + b\n"
TESTS = """
from calc import add, sub, mul

def test_add():
    assert add(1, 2) == 3

def test_sub():
    assert sub(3, 2) == 1

def test_mul():
    assert mul(2, 3) == 6
"""
FILES = {"src/calc.py": CODE, "tests/test_calc.py": TESTS}
ADD_FIXED = CODE.replace("def add(a, b):\n    return a - b", "def add(a, b):\n    return a + b")
ALL_FIXED = ADD_FIXED.replace("def mul(a, b):\n    return a + b", "def mul(a, b):\n    return a * b")


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workshop, str, Observation]:
    """Two of three tests fail. Shared: every judgement works in copies of its own."""
    shop, tree = make_shop(tmp_path_factory.mktemp("broken"), FILES)
    return shop, tree, observed(shop, tree)


def edit(shop: Workshop, code: str, path: str = "src/calc.py") -> Change:
    return added(shop.blobs, path, code)


def test_an_edit_that_fixes_a_test_and_breaks_none_passes_with_its_numbers_and_evidence(
    broken: tuple[Workshop, str, Observation],
) -> None:
    shop, tree, seen = broken
    verdict = judge(shop, tree, edit(shop, ADD_FIXED), observations=(seen,))
    assert (verdict.verifier, verdict.status, verdict.score) == ("tests", "pass", 2.0)
    assert verdict.summary == "fixes 1 of 2 failing tests, breaks none (2 pass)"
    assert verdict.evidence is not None
    report = msgspec.json.decode(shop.blobs.get(verdict.evidence), type=SuiteReport)
    assert report.ids("failed") == {"tests/test_calc.py::test_mul"}


def test_an_edit_that_fixes_all_is_scored_higher(broken: tuple[Workshop, str, Observation]) -> None:
    shop, tree, seen = broken
    verdict = judge(shop, tree, edit(shop, ALL_FIXED), observations=(seen,))
    assert (verdict.status, verdict.score) == ("pass", 3.0)


def test_an_edit_that_changes_no_result_fails_and_says_what_still_fails(
    broken: tuple[Workshop, str, Observation],
) -> None:
    shop, tree, seen = broken
    verdict = judge(shop, tree, edit(shop, f"# more\n{CODE}"), observations=(seen,))
    assert verdict.status == "fail"
    assert verdict.summary == "fixes none of 2 failing tests: tests/test_calc.py::test_add: assert -1 == 3"


def test_an_edit_that_breaks_a_passing_test_fails_whatever_it_fixes(broken: tuple[Workshop, str, Observation]) -> None:
    shop, tree, seen = broken
    wrong = ALL_FIXED.replace("def sub(a, b):\n    return a - b", "def sub(a, b):\n    return 0")
    verdict = judge(shop, tree, edit(shop, wrong), observations=(seen,))
    assert verdict.status == "fail"
    assert verdict.summary == "breaks tests/test_calc.py::test_sub (was passing: assert 0 == 1)"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("tests/test_calc.py", TESTS.replace("== 3", "!= 3").replace("== 6", "!= 6")),
        ("tests/conftest.py", "def pytest_collection_modifyitems(items): items[:] = items[1:2]\n"),
        ("tests/test_calc.py", None),
    ],
)
def test_an_edit_of_protected_files_alone_fails(
    broken: tuple[Workshop, str, Observation], path: str, text: str | None
) -> None:
    shop, tree, seen = broken
    change = deleted(path) if text is None else edit(shop, text, path)
    verdict = judge(shop, tree, change, observations=(seen,))
    assert (verdict.status, verdict.summary) == ("fail", f"the proposal only edits protected files: {path}")


def test_weakened_tests_do_not_help_and_are_said_to_be_undone(broken: tuple[Workshop, str, Observation]) -> None:
    shop, tree, seen = broken
    weak = edit(shop, TESTS.replace("== 6", "!= 6"), "tests/test_calc.py")
    verdict = judge(shop, tree, edit(shop, f"# x\n{CODE}"), weak, observations=(seen,))
    assert verdict.status == "fail"
    assert verdict.summary.endswith("; edits of protected files undone: tests/test_calc.py")


def test_a_conftest_outside_the_protected_folder_cannot_make_tests_vanish(
    broken: tuple[Workshop, str, Observation],
) -> None:
    shop, tree, seen = broken
    hide = "def pytest_collection_modifyitems(items): items[:] = [i for i in items if i.name == 'test_add']\n"
    verdict = judge(shop, tree, edit(shop, ADD_FIXED), edit(shop, hide, "conftest.py"), observations=(seen,))
    assert verdict.status == "fail"
    assert verdict.summary.startswith("tests/test_calc.py::test_sub passed before and is no longer collected")


def test_skipping_a_passing_test_breaks_it(broken: tuple[Workshop, str, Observation]) -> None:
    shop, tree, seen = broken
    skip = "import pytest\ndef pytest_runtest_setup(item):\n    if item.name != 'test_add': pytest.skip('no')\n"
    verdict = judge(shop, tree, edit(shop, ADD_FIXED), edit(shop, skip, "conftest.py"), observations=(seen,))
    assert verdict.status == "fail"
    assert verdict.summary.startswith("breaks tests/test_calc.py::test_sub (was passing")


@pytest.mark.parametrize(
    "cheat",
    ["import os\nos._exit(0)\n", "import sys\nsys.exit(0)\n", "import pytest\npytest.exit('fine', returncode=0)\n"],
)
def test_ending_the_process_is_no_success(broken: tuple[Workshop, str, Observation], cheat: str) -> None:
    shop, tree, seen = broken
    verdict = judge(shop, tree, edit(shop, cheat + CODE), observations=(seen,))
    assert verdict.status == "crash"


def test_leaving_in_the_middle_with_success_is_seen_by_the_tests_that_are_missing(
    broken: tuple[Workshop, str, Observation],
) -> None:
    """pytest writes a valid report of what ran until then and exits 0."""
    shop, tree, seen = broken
    leave = ADD_FIXED.replace("def sub(a, b):", "def sub(a, b):\n    import pytest; pytest.exit('fine', returncode=0)")
    verdict = judge(shop, tree, edit(shop, leave), observations=(seen,))
    assert verdict.status == "fail"
    assert "tests/test_calc.py::test_sub passed before and is no longer collected" in verdict.summary


def test_new_tests_that_pass_are_no_progress(broken: tuple[Workshop, str, Observation]) -> None:
    shop, tree, seen = broken
    verdict = judge(shop, tree, edit(shop, "def test_nothing(): pass\n", "test_new.py"), observations=(seen,))
    assert verdict.status == "fail"


def test_code_that_cannot_be_imported_is_a_crash_with_its_error(broken: tuple[Workshop, str, Observation]) -> None:
    shop, tree, seen = broken
    verdict = judge(shop, tree, edit(shop, "def add(:\n"), observations=(seen,))
    assert verdict.status == "crash"
    assert verdict.summary == "the tests cannot be run any more: tests/test_calc.py: SyntaxError: invalid syntax"


def test_code_that_hangs_fails_with_the_limit(broken: tuple[Workshop, str, Observation]) -> None:
    shop, tree, seen = broken
    hang = CODE.replace("def sub(a, b):", "def sub(a, b):\n    import threading; threading.Event().wait()")
    source = pytest_source(timeout_s=2)
    verdict = judge(shop, tree, edit(shop, hang), observations=(seen,), verifier=TestsVerifier(source))
    assert (verdict.status, verdict.summary) == ("fail", "the tests did not end within 2 s")


def test_a_change_that_cannot_be_applied_fails(broken: tuple[Workshop, str, Observation]) -> None:
    shop, tree, seen = broken
    verdict = judge(shop, tree, edit(shop, "x", "../outside.py"), observations=(seen,))
    assert verdict.status == "fail"
    assert verdict.summary.startswith("the proposal cannot be applied: ")


def test_a_new_test_that_fails_is_named_where_all_was_green(tmp_path: Path) -> None:
    shop, tree = make_shop(tmp_path, {**FILES, "src/calc.py": ALL_FIXED})
    verdict = judge(
        shop, tree, edit(shop, "def test_n(): assert 0\n", "test_n.py"), observations=(observed(shop, tree),)
    )
    assert (verdict.status, verdict.summary) == ("fail", "test_n.py::test_n fails (a new test: assert 0)")


def test_a_guard_asks_for_no_progress_but_for_no_loss(broken: tuple[Workshop, str, Observation]) -> None:
    shop, tree, observation = broken
    seen = (observation,)
    guard = TestsVerifier(pytest_source(), "guard")
    verdict = judge(shop, tree, edit(shop, f"# x\n{CODE}"), observations=seen, verifier=guard)
    assert (verdict.status, verdict.summary) == ("pass", "breaks none (1 pass)")
    worse = edit(shop, CODE.replace("def sub(a, b):\n    return a - b", "def sub(a, b):\n    return 0"))
    assert judge(shop, tree, worse, observations=seen, verifier=guard).status == "fail"


# --- flakes -----------------------------------------------------------------------------------------------------------
def stumbling(tmp_path: Path, name: str, passes: str) -> str:
    """A test that counts its runs in a file and passes where `passes` says so of the number `n`."""
    return f"""
def test_{name}():
    with open({str(tmp_path / name)!r}, "a+") as file:
        file.write("x")
        file.seek(0)
        n = len(file.read())
    assert {passes}
"""


def test_a_test_that_fails_once_by_itself_is_not_held_against_the_edit(tmp_path: Path) -> None:
    shop, tree = make_shop(tmp_path, {**FILES, "tests/test_f.py": stumbling(tmp_path, "odd", "n != 2")})
    seen = observed(shop, tree)  # run 1 passes; the failing ids alone are repeated, so this test runs once
    (tmp_path / "odd").write_text("x")
    verdict = judge(shop, tree, edit(shop, ADD_FIXED), observations=(seen,))
    assert verdict.status == "pass", verdict.summary
    assert verdict.summary.endswith("; flaky: tests/test_f.py::test_odd")


def test_a_success_that_does_not_repeat_is_inconclusive(tmp_path: Path) -> None:
    shop, tree = make_shop(tmp_path, {**FILES, "tests/test_f.py": stumbling(tmp_path, "once", "n == 10")})
    seen = observed(shop, tree)
    (tmp_path / "once").write_text("x" * 9)
    verdict = judge(shop, tree, edit(shop, f"# x\n{CODE}"), observations=(seen,))
    assert verdict.status == "inconclusive"
    assert verdict.summary == "tests/test_f.py::test_once passed once and failed when it was repeated"


def test_a_test_that_needs_the_others_may_be_fixed(tmp_path: Path) -> None:
    tests = "from calc import add\nstate = []\ndef test_first(): state.append(1)\ndef test_second(): assert state and add(1, 2) == 3\n"
    shop, tree = make_shop(tmp_path, {"src/calc.py": CODE, "tests/test_a.py": tests})
    verdict = judge(shop, tree, edit(shop, ADD_FIXED), observations=(observed(shop, tree),))
    assert (verdict.status, verdict.summary) == ("pass", "fixes 1 of 1 failing test, breaks none (2 pass)")


def test_parametrised_tests_whose_names_change_with_every_run_are_not_missing(tmp_path: Path) -> None:
    changing = "import pytest, uuid\n@pytest.mark.parametrize('v', [str(uuid.uuid4()), str(uuid.uuid4())])\ndef test_v(v): pass\n"
    shop, tree = make_shop(tmp_path, {**FILES, "tests/test_p.py": changing})
    verdict = judge(shop, tree, edit(shop, ADD_FIXED), observations=(observed(shop, tree),))
    assert verdict.status == "pass", verdict.summary


# --- other commands, baselines, remarks -------------------------------------------------------------------------------
def test_without_an_observation_of_this_command_the_head_is_measured_once(
    broken: tuple[Workshop, str, Observation],
) -> None:
    lines: list[str] = []
    other = (broken[2],)
    shop, tree = dataclasses.replace(broken[0], progress=lines.append), broken[1]
    guard = TestsVerifier(pytest_source("-k sub"), "guard")
    for _ in range(2):
        verdict = judge(shop, tree, edit(shop, ADD_FIXED), observations=other, verifier=guard)
        assert (verdict.verifier, verdict.status, verdict.score) == ("guard", "pass", None)
    assert len([line for line in lines if line.startswith("measuring")]) == 1
    assert judge(shop, tree, edit(shop, ADD_FIXED.replace("def sub", "def bus")), verifier=guard).status == "crash"


@pytest.mark.parametrize(("text", "status"), [("good", "pass"), ("bad", "fail"), ("once", "inconclusive")])
def test_a_command_without_a_report_is_judged_by_its_exit_code_twice(tmp_path: Path, text: str, status: str) -> None:
    mark = tmp_path / "mark"
    source = TestsSource(f'grep -q good f || {{ grep -q once f && test ! -e "{mark}" && touch "{mark}"; }}')
    shop, tree = make_shop(tmp_path, {"f": "bad"})
    loop = make_loop(evaluate=EvaluatePolicy(tests=source))
    seen = (observed(shop, tree, source),)
    verdict = judge(shop, tree, edit(shop, text, "f"), observations=seen, loop=loop, verifier=TestsVerifier(source))
    assert (verdict.status, verdict.score) == (status, None)


def test_tests_that_write_into_the_checkout_are_remarked_on(tmp_path: Path) -> None:
    litter = "def test_w():\n    open('left.txt', 'w').write('x')\n    open('src/calc.py', 'a').write('#')\n"
    shop, tree = make_shop(tmp_path, {**FILES, "tests/test_w.py": litter})
    verdict = judge(shop, tree, edit(shop, ADD_FIXED), observations=(observed(shop, tree),))
    assert verdict.status == "pass"
    assert verdict.summary.endswith("; the tests write into the checkout: left.txt, src/calc.py")


def test_a_green_suite_stays_acceptable(tmp_path: Path) -> None:
    shop, tree = make_shop(tmp_path, {**FILES, "src/calc.py": ALL_FIXED})
    verdict = judge(shop, tree, edit(shop, f"# simpler\n{ALL_FIXED}"), observations=(observed(shop, tree),))
    assert (verdict.status, verdict.summary) == ("pass", "breaks none (3 pass)")
