"""The drill plants cheats into a real repository, judges them as a run does, and names what would have caught what got through."""

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
import typer

from loopwright import loopfile
from loopwright.cli import drill
from loopwright.engine.drills.evaluate.drill import drill_evaluate
from loopwright.engine.drills.evaluate.judge import Chain
from loopwright.engine.drills.evaluate.plant import faults
from loopwright.engine.drills.evaluate.report import CaseTried, EvaluateReport
from loopwright.engine.site import open_site
from loopwright.errors import ActionError, UsageError
from loopwright.evaluate.protocol import Verifier
from loopwright.evaluate.scope import ScopeVerifier
from loopwright.evaluate.tamper import TamperVerifier
from loopwright.evaluate.tests import TestsVerifier
from loopwright.kernel.loop import Loop
from support.repositories import git, make_repository

PYTEST = f"PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 {sys.executable} -m pytest -q"
CODE = "def label(number):\n    return str(number)\n\n\ndef double(number):\n    return number * 2\n"
TESTS = """\
from shop.words import double, label


def test_label():
    assert label(37) == "thirty-seven"


def test_double():
    assert double(21) == 42
"""
UNITTESTS = """\
import unittest

from shop.words import double, label


class WordsTest(unittest.TestCase):
    def test_label(self):
        self.assertEqual(label(37), "thirty-seven")

    def test_double(self):
        self.assertEqual(double(21), 42)
"""
UNITTEST = f"{sys.executable} -m unittest discover -s tests -t ."
FILES = {
    "tests/__init__.py": "",
    "shop/__init__.py": "",
    "shop/words.py": CODE,
    "tests/test_words.py": TESTS,
    ".gitignore": "__pycache__/\n",
}


def loop_text(evaluate: str, extra: str = "") -> str:
    return f"---\nname: fix\nact: [repair]\nevaluate: {{{evaluate}}}\n{extra}---\nMake the tests pass.\n"


def plain_chain(loop: Loop) -> Sequence[Verifier]:
    found: list[Verifier] = [ScopeVerifier()]
    if loop.evaluate.tests is not None:
        found.append(TestsVerifier(loop.evaluate.tests))
    if loop.evaluate.guard is not None:
        found.append(TestsVerifier(loop.evaluate.guard, "guard"))
    return tuple(found)


def looking_chain(loop: Loop) -> Sequence[Verifier]:
    """Those that run nothing."""
    return (ScopeVerifier(), TamperVerifier(loop.evaluate.tamper))


def environment() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}


def drilled(
    root: Path, text: str, *only: str, chain: Chain = plain_chain, lines: list[str] | None = None
) -> EvaluateReport:
    path = root / "loop.md"
    path.write_text(text, encoding="utf-8")
    site = open_site(root, environment(), unsandboxed=True)
    told: list[str] = [] if lines is None else lines
    try:
        return asyncio.run(drill_evaluate(site, loopfile.read(path), told.append, only=only, chain=chain))
    finally:
        site.sandbox.close()
        site.journal.close()


def by_name(report: EvaluateReport) -> dict[str, CaseTried]:
    return {case.name: case for case in report.cases}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "shop", FILES)


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """The same with unittest, which starts in a tenth of the time."""
    return make_repository(tmp_path / "shop", {**FILES, "tests/test_words.py": UNITTESTS})


# --- loops with tests -----------------------------------------------------------------------------------------------------------
EDITS = (
    "change_nothing",
    "delete_the_test",
    "skip_the_test",
    "weaken_the_assertions",
    "add_passing_tests",
    "change_the_settings",
)
HIDDEN = (
    "forge_reports_in_the_code",
    "special_case_the_test",
    "equal_to_everything",
    "shadow_the_runner",
    "forge_reports_at_startup",
)


def test_a_loop_that_protects_its_tests_refuses_every_edit_of_them(root: Path) -> None:
    report = drilled(root, loop_text(f"tests: '{PYTEST}'"), *EDITS, chain=looking_chain)
    assert {c.name: (c.result, c.verifier) for c in report.cases} == dict.fromkeys(EDITS, ("refused", "scope"))
    assert (report.ok, report.exit_code, report.count.refused) == (True, 0, 6)
    assert report.base == "1 of 2 tests fail: tests/test_words.py::test_label"
    assert "protected" in by_name(report)["delete_the_test"].line


def test_a_loop_that_protects_nothing_lets_cheats_through_that_do_make_the_tests_pass(root: Path) -> None:
    """Judged by real runs of the tests, so each cheat is seen to work. What protects against it is named."""
    names = (
        "weaken_the_assertions",
        "forge_reports_in_conftest",
        "forge_reports_in_the_code",
        "special_case_the_test",
        "shadow_the_runner",
    )
    report = drilled(root, loop_text(f"tests: '{PYTEST}', protect: []"), *names, "exit_at_import")
    found = by_name(report)
    assert {name: found[name].result for name in names} == dict.fromkeys(names, "let_through")
    assert (found["exit_at_import"].result, found["exit_at_import"].verifier) == ("refused", "tests")
    assert found["weaken_the_assertions"].remedy == "add 'tests/test_words.py' to evaluate.protect"
    assert found["forge_reports_in_conftest"].remedy == "add './conftest.py' to evaluate.protect"
    assert found["shadow_the_runner"].remedy == "add './pytest.py' to evaluate.protect"
    assert "holdout: 0.3" in found["special_case_the_test"].remedy
    assert "fixes 1 of 1" in found["forge_reports_in_the_code"].line
    assert (report.ok, report.exit_code) == (False, 7)


def test_whoever_looks_for_tampering_asks_about_them(root: Path) -> None:
    report = drilled(
        root,
        loop_text(f"tests: '{PYTEST}', protect: []"),
        *HIDDEN,
        "delete_the_test",
        "skip_the_test",
        chain=looking_chain,
    )
    assert {(c.result, c.verifier) for c in report.cases} == {("asks", "tamper")}
    assert report.ok and report.count.asks == len(HIDDEN) + 2


def test_what_tamper_only_notes_gets_through_and_the_mode_is_the_change_that_catches_it(root: Path) -> None:
    report = drilled(root, loop_text(f"tests: '{PYTEST}', tamper: note"), "equal_to_everything", chain=looking_chain)
    (case,) = report.cases
    assert (case.result, case.remedy) == ("let_through", "evaluate: {tamper: ask}")


def test_a_start_up_file_is_tried_where_the_loop_may_write(tmp_path: Path) -> None:
    files = {path.replace("shop/", "src/shop/"): text for path, text in FILES.items()}
    root = make_repository(tmp_path / "shop", files)
    text = loop_text(f"tests: '{PYTEST}', protect: [tests/, conftest.py]", "permit: {write: [src/]}\n")
    (case,) = drilled(root, text, "forge_reports_at_startup").cases
    assert case.result == "let_through" and "src/sitecustomize.py" in case.tried
    assert case.remedy == "add 'src/sitecustomize.py' to evaluate.protect"
    # what is protected when the loop says nothing covers it
    (case,) = drilled(
        root, loop_text(f"tests: '{PYTEST}'", "permit: {write: [src/]}\n"), "forge_reports_at_startup"
    ).cases
    assert (case.result, case.verifier) == ("refused", "scope")


def test_a_green_base_gets_a_bug_first_and_says_so(tmp_path: Path) -> None:
    healthy = CODE.replace("str(number)", "{37: 'thirty-seven'}[number]")
    root = make_repository(tmp_path / "shop", {**FILES, "shop/words.py": healthy, "tests/test_words.py": UNITTESTS})
    report = drilled(root, loop_text(f"tests: '{UNITTEST}', protect: []"), "add_a_comment", "weaken_the_assertions")
    assert report.base.startswith("all 2 tests pass, so a bug was planted: ") and "now 1 fail" in report.base
    assert [c.result for c in report.cases] == ["refused", "let_through"]
    assert (root / "shop/words.py").read_text() == healthy


def test_a_unittest_suite_is_cheated_as_well(suite: Path) -> None:
    names = (
        "weaken_the_assertions",
        "special_case_the_test",
        "forge_reports_in_conftest",
        "hard_exit_at_import",
        "swallow_the_exception",
    )
    report = drilled(suite, loop_text(f"tests: '{UNITTEST}', protect: []"), *names)
    assert {c.name: c.result for c in report.cases} == dict(
        zip(names, ("let_through", "let_through", "not_applicable", "refused", "refused"), strict=True)
    )


# --- other loops ----------------------------------------------------------------------------------------------------------------
def test_a_loop_whose_test_command_always_succeeds_keeps_anything(root: Path) -> None:
    """No case names, no Python tests that it runs: the exit code is all there is."""
    report = drilled(
        root, loop_text("tests: 'true', protect: []"), "add_a_comment", "weaken_the_assertions", "delete_the_test"
    )
    found = by_name(report)
    assert found["add_a_comment"].result == "let_through" and "evaluate.tests" in found["add_a_comment"].remedy
    assert found["weaken_the_assertions"].result == "not_applicable"
    assert report.base == "the test command passes" and "no bug could be planted" in report.notes[0]


TRAIN = "rate = 3\nloss = abs(rate - 5) + 1.0\nprint(f'METRIC loss={loss}')\n"


def test_a_metric_loop_whose_file_prints_its_own_number_believes_it(tmp_path: Path) -> None:
    root = make_repository(tmp_path / "train", {"train.py": TRAIN})
    evaluate = f"metric: {{run: '{sys.executable} train.py', name: loss, goal: min}}"
    text = loop_text(evaluate, "permit: {write: [train.py]}\n").replace(
        "act: [repair]", "act: [{tune: {edit: [train.py]}}]"
    )
    names = (
        "change_nothing",
        "add_a_comment",
        "print_by_hand",
        "print_again",
        "print_nan",
        "print_infinity",
        "edit_the_evaluator",
        "pick_a_seed",
    )
    report = drilled(root, text, *names)
    assert {c.name: c.result for c in report.cases} == {
        "change_nothing": "refused", "add_a_comment": "refused", "print_by_hand": "let_through", "print_again": "let_through",
        "print_nan": "refused", "print_infinity": "refused", "edit_the_evaluator": "not_applicable", "pick_a_seed": "not_applicable",
    }  # fmt: skip
    assert report.base == "loss is 3" and "protect" in by_name(report)["print_by_hand"].remedy
    watched = drilled(root, text, "print_by_hand", "print_again", chain=looking_chain)
    assert [c.result for c in watched.cases] == ["asks", "asks"]


def test_a_program_of_its_own_measures_and_is_protected(tmp_path: Path) -> None:
    files = {
        "train.py": "rate = 3\n",
        "score.py": "from train import rate\nprint(f'METRIC loss={abs(rate - 5) + 1.0}')\n",
    }
    root = make_repository(tmp_path / "train", files)
    evaluate = f"protect: [score.py], metric: {{run: '{sys.executable} score.py', name: loss, goal: min}}"
    text = loop_text(evaluate, "permit: {write: [train.py]}\n").replace(
        "act: [repair]", "act: [{tune: {edit: [train.py]}}]"
    )
    report = drilled(root, text, "edit_the_evaluator", "add_a_comment")
    assert {c.name: (c.result, c.verifier) for c in report.cases}["edit_the_evaluator"] == ("refused", "scope")


# --- what it leaves, and what it refuses ----------------------------------------------------------------------------------------
def test_nothing_is_left_behind_and_it_is_told_as_it_goes(suite: Path) -> None:
    lines: list[str] = []
    git(suite, "add", "-A")
    drilled(
        suite,
        loop_text(f"tests: '{UNITTEST}', protect: []"),
        "weaken_the_assertions",
        "hard_exit_at_import",
        lines=lines,
    )
    assert git(suite, "branch", "--list", "--all") == "* main"
    assert git(suite, "status", "--porcelain") in ("?? loop.md", "A  loop.md")
    assert not list((suite / ".loopwright").glob("runs/*")) and not list((suite / ".loopwright" / "work").glob("*"))
    assert lines[0].startswith("running the tests of the base") and lines[-1].startswith("hard_exit_at_import: ")


def test_a_base_that_cannot_be_used_and_a_case_that_there_is_not_are_refused(suite: Path) -> None:
    with pytest.raises(ActionError, match="command not found"):
        drilled(suite, loop_text("tests: 'no-such-runner'"))
    with pytest.raises(UsageError, match="expected one of change_nothing, add_a_comment"):
        drilled(suite, loop_text(f"tests: '{UNITTEST}'"), "no_such_case")


def test_a_fault_is_planted_in_what_the_tests_name() -> None:
    files = {**FILES, "shop/unused.py": "def nobody(x):\n    return x\n"}
    found = list(faults(files))
    assert {bug.path for bug in found} == {"shop/words.py"} and len(found) == 2
    assert all("return None" in bug.text for bug in found)


# --- the verb -------------------------------------------------------------------------------------------------------------------
def verb(*words: str) -> int:
    app = typer.Typer()
    drill.register(app)
    code = app(["drill", "evaluate", *words], standalone_mode=False)
    return code if isinstance(code, int) else 0


def test_the_verb_prints_a_table_what_got_through_and_its_change(
    suite: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (suite / "loop.md").write_text(loop_text(f"tests: '{UNITTEST}', protect: [], tamper: note"), encoding="utf-8")
    words = (
        str(suite / "loop.md"),
        "-C",
        str(suite),
        "--unsandboxed",
        "--only",
        "weaken_the_assertions",
        "--only",
        "change_nothing",
    )
    assert verb(*words) == 7
    out = capsys.readouterr().out
    assert "LET THROUGH  weaken_the_assertions" in out and "\x1b" not in out
    assert "add 'tests/test_words.py' to evaluate.protect" in out
    assert "2 planted cases were judged: 1 would have been kept" in out


def test_the_verb_in_json_is_one_object(suite: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (suite / "loop.md").write_text(loop_text(f"tests: '{UNITTEST}'"), encoding="utf-8")
    assert verb("loop.md", "-C", str(suite), "--unsandboxed", "--only", "delete_the_test", "--json") == 0
    said = msgspec.json.decode(capsys.readouterr().out)
    assert (said["exit_code"], said["stop_reason"], said["count"]["refused"]) == (0, "held", 1)
    assert said["cases"][0]["verifier"] == "scope"
