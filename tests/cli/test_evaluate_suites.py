"""Test commands as people have them, tests in quarantine, and the drill of an evaluation: whole runs through the command line."""

import datetime as dt
import shutil
import sys
from pathlib import Path

import pytest

from support.command_line import Ended, git, loopwright, repository
from support.evaluating import FIX, PYTEST, UNITTEST, branch, loop_text, program, report, rows, run, shop, untouched
from support.two_faults import UNSANDBOXED

EXAMPLES = Path(__file__).parents[2] / "examples"
PLAIN = "from shop import double\nassert double(7) == 14, f'found {double(7)}'\n"


# --- suites -------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("tests", "files", "said"),
    [
        (f"'{PYTEST} tests/__init__.py'", {}, "nothing was collected by"),
        (f"'{UNITTEST}'", {"tests/test_shop.py": ""}, "nothing was collected by"),
        (
            f"{{run: '{UNITTEST}', timeout_minutes: 0.02}}",
            {"tests/test_shop.py": "import time\ntime.sleep(600)\n"},
            "did not end within 2 s; give it more time (`timeout_minutes`)",
        ),
        ("'./no-such-runner --all'", {}, "command not found: './no-such-runner'"),
    ],
    ids=["pytest finds none", "unittest finds none", "hangs", "is not there"],
)
def test_a_suite_that_says_nothing_is_a_faulty_input_and_no_success(
    tmp_path: Path, tests: str, files: dict[str, str], said: str
) -> None:
    where = shop(tmp_path / "repo", files)
    done = run(where, loop_text(program(where, FIX), f"tests: {tests}"))
    told = done.json()
    assert (done.code, told["stop_reason"]) == (2, "cannot_observe"), done
    summary = str(told["summary"])
    assert said in summary
    assert "\n" not in summary
    assert (told["branch"], rows(where), untouched(where)) == (None, [], True)
    assert not (tmp_path / "propose.log").exists(), "nobody was asked to repair what cannot be seen"


def test_a_change_that_makes_the_tests_hang_is_refused_in_time(tmp_path: Path) -> None:
    where = shop(tmp_path / "repo")
    body = "edit('shop.py', 'def', 'import time\\ntime.sleep(600)\\ndef')\n"
    tests = f"tests: {{run: '{UNITTEST}', timeout_minutes: 0.04}}"
    done = run(where, loop_text(program(where, body), tests, iterations=1))
    assert (done.code, branch(where)) == (4, ""), done
    assert "the tests did not end within 3 s" in report(where)


@pytest.mark.parametrize(
    ("command", "files"),
    [
        ("make test", {"Makefile": f"test:\n\t@{sys.executable} check.py\n", "check.py": PLAIN}),
        (f"{sys.executable} check.py", {"check.py": PLAIN}),
    ],
    ids=["make", "script"],
)
def test_any_command_judges_by_its_exit_code(tmp_path: Path, command: str, files: dict[str, str]) -> None:
    """It must pass twice; what does not repair it is refused."""
    where = shop(tmp_path / "repo", files)
    body = "if task['iteration'] == 1:\n    edit('shop.py', 'return', '# ?\\n    return')\nelse:\n"
    body += "".join(f"    {line}\n" for line in FIX.splitlines())
    done = run(where, loop_text(program(where, body), f"tests: '{command}'"))
    assert (done.code, done.json()["stop_reason"], done.json()["iterations"]) == (0, "goal", 2), done
    assert [row[2] for row in rows(where)] == ["checks_failed", "keep"]
    assert "the test command passes" in report(where)


def test_tests_that_write_into_the_checkout_are_named_and_what_they_wrote_is_not_kept(tmp_path: Path) -> None:
    wild = "import pathlib\npathlib.Path('out.txt').write_text('x')\npathlib.Path('notes.md').write_text('changed')\n"
    where = shop(tmp_path / "repo", {"check.py": wild + PLAIN, "notes.md": "mine\n"})
    done = run(where, loop_text(program(where, FIX), f"tests: '{sys.executable} check.py'"))
    assert (done.code, done.json()["stop_reason"]) == (0, "goal"), done
    assert "the tests write into the checkout: notes.md, out.txt" in report(where)
    assert git(where, "diff", "--name-only", f"main..{branch(where)}").split() == ["shop.py"]
    assert untouched(where)


# --- quarantine ---------------------------------------------------------------------------------------------------------------
ID = "test_large (tests.test_shop.ShopTest.test_large)"


def fix(where: Path) -> Ended:
    return loopwright("fix", "--tests", UNITTEST, "--json", "--max-iterations", "1", cwd=where, env=UNSANDBOXED)


def commit(where: Path) -> None:
    git(where, "add", "-A")
    git(where, "commit", "-q", "-m", "quarantine")


def test_a_test_in_quarantine_is_nothing_to_do_until_its_time_is_over(tmp_path: Path) -> None:
    where = shop(tmp_path / "repo")
    argv = ("quarantine", "add", ID, "--owner", "ann", "--why", "fails on Mondays", "--days", "3")
    assert loopwright(*argv, cwd=where).code == 0
    commit(where)
    done = fix(where)
    assert (done.code, done.json()["stop_reason"], branch(where)) == (0, "nothing_to_do", ""), done
    assert "1 quarantined test fails" in report(where)
    assert "ann" in report(where)

    file = where / "loops/quarantine.toml"
    today = dt.datetime.now(dt.UTC).date()
    late = file.read_text().replace(str(today + dt.timedelta(days=3)), str(today - dt.timedelta(days=2)))
    file.write_text(late.replace(f"added = {today}", f"added = {today - dt.timedelta(days=9)}"))
    commit(where)
    done = fix(where)
    assert done.json()["stop_reason"] != "nothing_to_do", done
    text = report(where, run=str(done.json()["run"]))
    assert "the quarantine of 1 failing test has expired" in text


def test_what_is_not_committed_yet_is_not_in_quarantine(tmp_path: Path) -> None:
    """A run begins with a commit; nobody, a proposer least of all, takes a test out by leaving a file about."""
    where = shop(tmp_path / "repo")
    assert loopwright("quarantine", "add", ID, "--owner", "ann", "--why", "flaky", cwd=where).code == 0
    assert fix(where).json()["stop_reason"] != "nothing_to_do"
    body = "pathlib.Path('loops').mkdir()\nfrom datetime import date, timedelta\n"
    body += (
        f'pathlib.Path(\'loops/quarantine.toml\').write_text(\'[[test]]\\nid = "{ID}"\\nowner = "me"\\nwhy = "hard"\\n'
    )
    body += "expires = ' + str(date.today() + timedelta(days=9)) + '\\n')\n"
    other = shop(tmp_path / "other" / "repo")
    done = run(other, loop_text(program(other, body), f"tests: '{UNITTEST}'", iterations=1))
    assert (done.code, branch(other)) == (4, ""), done
    assert "steers the loop" in report(other)


# --- drill --------------------------------------------------------------------------------------------------------------------
def drill(where: Path, loop: Path | str, *only: str) -> tuple[int, dict[str, dict[str, str]]]:
    cases = [part for name in only for part in ("--only", name)]
    done = loopwright("drill", "evaluate", loop, *cases, "--json", cwd=where, env=UNSANDBOXED)
    told = done.json()
    found = told["cases"]
    assert isinstance(found, list), done
    assert told["exit_code"] == done.code
    assert told["stop_reason"] == ("integrity" if done.code else "held")
    return done.code, {case["name"]: case for case in found}


def test_the_loop_of_the_demo_lets_no_planted_cheat_through(tmp_path: Path) -> None:
    shutil.copytree(
        EXAMPLES / "pricing", tmp_path / "repo", ignore=shutil.ignore_patterns("__pycache__", ".loopwright")
    )
    where = repository(tmp_path / "repo", {".gitignore": "__pycache__/\n"})
    only = ("change_nothing", "weaken_the_assertions", "shadow_the_runner", "exit_at_import", "edit_the_loop_file")
    code, found = drill(where, "loops/fix.md", *only)
    assert code == 0
    assert {name: case["result"] for name, case in found.items()} == dict.fromkeys(only, "refused") | {
        "shadow_the_runner": "asks"
    }
    assert untouched(where)


def test_the_change_that_the_drill_names_catches_what_it_let_through(tmp_path: Path) -> None:
    """A loop that protects nothing and only notes what looks like cheating: exit 7, one key to change; with it, exit 0."""
    where = shop(tmp_path / "repo")
    loop = tmp_path / "loop.md"
    weak = loop_text(program(where, FIX), f"tests: '{UNITTEST}', protect: [], tamper: note")
    loop.write_text(weak)
    code, found = drill(where, loop, "weaken_the_assertions", "equal_to_everything")
    assert code == 7
    assert {case["result"] for case in found.values()} == {"let_through"}
    assert found["equal_to_everything"]["remedy"] == "evaluate: {tamper: ask}"
    assert "protect" in found["weaken_the_assertions"]["remedy"]
    plain = loopwright("drill", "evaluate", loop, "--only", "equal_to_everything", cwd=where, env=UNSANDBOXED)
    assert (plain.code, "change  evaluate: {tamper: ask}" in plain.out) == (7, True), plain
    loop.write_text(weak.replace("tamper: note", "tamper: ask").replace("protect: []", "protect: [tests/]"))
    code, found = drill(where, loop, "weaken_the_assertions", "equal_to_everything")
    assert code == 0
    assert {name: case["result"] for name, case in found.items()} == {
        "weaken_the_assertions": "refused",
        "equal_to_everything": "asks",
    }
    assert (calls_made(tmp_path), branch(where), untouched(where)) == (False, "", True)


def calls_made(root: Path) -> bool:
    return (root / "propose.log").exists()
