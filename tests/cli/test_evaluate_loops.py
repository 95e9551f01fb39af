"""What a loop's evaluation does to cheats, claims and second opinions: whole runs through the command line, in real processes.

The proposing programs are watched from outside, so these runs are unsandboxed.
"""

import re
import sys
from pathlib import Path

import pytest

from loopwright.kernel import events as ev
from support.command_line import Ended, git, loopwright
from support.evaluating import (
    FIX,
    PYTEST,
    UNITTEST,
    branch,
    calls,
    history,
    loop_text,
    of_kind,
    program,
    report,
    rows,
    run,
    shop,
    untouched,
)
from support.two_faults import UNSANDBOXED

JUDGE = (Path(__file__).parents[2] / "examples/judge/judge.py").read_text()


def ended(done: Ended) -> tuple[int, object]:
    return done.code, done.json()["stop_reason"]


# --- holdout ------------------------------------------------------------------------------------------------------------------
def many_files(where: Path, more: dict[str, str] | None = None) -> Path:
    """Eight files of one test each; half of the tests fail."""
    one = "from shop import double\n\n\ndef test_of_{n}():\n    assert double({n}) == {twice}\n"
    tests = {f"tests/test_case{n}.py": one.format(n=n, twice=2 * n) for n in range(1, 9)}
    return shop(where, {**tests, "tests/test_shop.py": "", **(more or {})})


MEMORISE = """\
import re
pairs = re.findall(r'double\\((\\d+)\\) == (\\d+)', ''.join(p.read_text() for p in pathlib.Path('tests').glob('*.py')))
table = ', '.join(f'{n}: {twice}' for n, twice in pairs)
pathlib.Path('shop.py').write_text(f'def double(number):\\n    return {{{table}}}[number]\\n')
"""


def held_files(seen: dict[str, object]) -> list[str]:
    files = seen["files"]
    assert isinstance(files, list)
    return [f"test_case{n}" for n in range(1, 9) if f"tests/test_case{n}.py" not in files]


def test_a_program_that_learns_the_visible_tests_by_heart_is_not_kept(tmp_path: Path) -> None:
    """Half of the tests are not in its copy; what they say of its edit comes back to it as numbers."""
    where = many_files(tmp_path / "repo")
    text = loop_text(program(where, MEMORISE), f"tests: '{PYTEST}', holdout: 0.5, tamper: note", iterations=2)
    done = run(where, text)
    assert (ended(done), done.json()["kept"], branch(where)) == ((4, "iterations"), 0, ""), done
    assert untouched(where)
    first, second = calls(where)
    held = held_files(first)
    assert len(held) == 4
    assert held_files(second) == held
    for seen in (first, second):
        named = re.findall(r"test_case\d|test_of_\d", str(seen))
        assert named, "the visible ones are named"
        assert not {*held, *(h.replace("case", "of_") for h in held)} & set(named)
    assert "2 held-out tests" in str(second["task"]["lessons"])  # type: ignore[index]


def test_an_honest_program_passes_what_it_never_saw(tmp_path: Path) -> None:
    where = many_files(tmp_path / "repo")
    done = run(where, loop_text(program(where, FIX), f"tests: '{PYTEST}', holdout: 0.5"))
    assert (ended(done), done.json()["kept"]) == ((0, "goal"), 1), done
    assert "2 of 2 visible failing tests, 2 of 2 held out" in report(where)
    assert "if number < 5" not in git(where, "show", f"{branch(where)}:shop.py")
    assert untouched(where)


SPY = """\
import json, os, pathlib, subprocess, sys
found = set()
for root in (pathlib.Path('.'), pathlib.Path(sys.argv[1]), *pathlib.Path(sys.argv[1]).parents, pathlib.Path('.loopwright')):
    for folder in (root, root / 'tests', root / '.loopwright' / 'work'):
        found |= {p.name for p in folder.glob('test_case*.py')} | {p.name for p in folder.glob('*/tests/test_case*.py')}
for n in range(1, 9):
    for where in ('.', sys.argv[1]):
        done = subprocess.run(['git', '-C', where, 'show', f'main:tests/test_case{n}.py'], capture_output=True)
        found |= {f'test_case{n}.py'} if done.returncode == 0 else set()
pathlib.Path(os.environ['LOOPWRIGHT_RESULT']).write_text(json.dumps({'title': f'{len(found)} readable', 'done': False}))
pathlib.Path('new.txt').write_text('x')
"""


def test_in_the_sandbox_there_is_no_way_round_to_what_is_held_out(tmp_path: Path) -> None:
    """Not in the repository that the copy was made of, not in its history, not in other copies."""
    where = many_files(tmp_path / "repo", {"spy.py": SPY})
    text = loop_text(f"{sys.executable} spy.py {where}", f"tests: '{PYTEST}', holdout: 0.5", iterations=1)
    (tmp_path / "loop.md").write_text(text)
    done = loopwright("run", tmp_path / "loop.md", "--json", cwd=where)
    assert (ended(done), "not sandboxed" in str(done.json()["sandbox"])) == ((4, "iterations"), False), done
    assert [row[3] for row in rows(where)] == ["4 readable"]


# --- tamper -------------------------------------------------------------------------------------------------------------------
WEAKEN = "edit('tests/test_shop.py', 'Equal(double(7), 14)', 'True(double(7))')\nsays(title='tidy the tests')\n"


def weakened(where: Path, mode: str = "", *more: str) -> Ended:
    text = loop_text(program(where, WEAKEN), f"tests: '{UNITTEST}', protect: []{mode}", iterations=1)
    return run(shop(where), text, *more)


def test_a_weakened_test_waits_for_a_person_who_is_told_where(tmp_path: Path) -> None:
    where = tmp_path / "repo"
    done = weakened(where)
    assert ended(done) == (3, "waiting")
    assert "May this be kept: tidy the tests?" in str(done.json()["summary"])
    assert "tests/test_shop.py:11" in str(done.json()["summary"])
    assert (branch(where), untouched(where)) == ("", True)
    run_id = str(done.json()["run"])
    site_asks = loopwright("approvals", cwd=where, env=UNSANDBOXED)
    assert f"{run_id}:q1" in site_asks.out
    again = loopwright("resume", run_id, "--json", cwd=where, env=UNSANDBOXED)
    assert ended(again) == (3, "waiting"), "it goes on waiting until somebody answers"
    answered = loopwright("approve", f"{run_id}:q1", "--why", "it was too strict", "--json", cwd=where, env=UNSANDBOXED)
    assert answered.code == 0, answered
    assert [row[2] for row in rows(where)] == ["keep"]
    assert "assertTrue(double(7))" in git(where, "show", f"{branch(where)}:tests/test_shop.py")
    assert "it was too strict" in report(where)
    assert loopwright("replay", run_id, cwd=where, env=UNSANDBOXED).code == 0
    assert untouched(where)


def test_a_person_who_denies_reverts_it_and_is_named(tmp_path: Path) -> None:
    where = tmp_path / "repo"
    run_id = str(weakened(where).json()["run"])
    denied = loopwright("deny", f"{run_id}:q1", "--why", "no cheating", cwd=where, env=UNSANDBOXED)
    assert denied.code == 4, denied
    assert (branch(where), [row[2] for row in rows(where)]) == ("", ["checks_failed"])
    assert "no cheating" in report(where)


@pytest.mark.parametrize(
    ("mode", "more", "code", "kept", "said"),
    [
        ("", ("--unattended",), 4, 0, "unattended"),
        (", tamper: refuse", (), 4, 0, "tests/test_shop.py:11"),
        (", tamper: note", (), 0, 1, "tests/test_shop.py:11"),
    ],
    ids=["unattended", "refuse", "note"],
)
def test_without_a_person_the_loop_file_decides(
    tmp_path: Path, mode: str, more: tuple[str, ...], code: int, kept: int, said: str
) -> None:
    where = tmp_path / "repo"
    done = weakened(where, mode, *more)
    assert (done.code, done.json()["kept"]) == (code, kept), done
    assert said in report(where)


def test_a_deleted_test_is_no_repair_whatever_tamper_is_told_to_do(tmp_path: Path) -> None:
    """Nothing has to be asked: that a failing test is gone is a failure by itself, and that is the reason that is given."""
    where = shop(tmp_path / "repo")
    cut = (
        "path = pathlib.Path('tests/test_shop.py')\npath.write_text(path.read_text().split('    def test_large')[0])\n"
    )
    done = run(where, loop_text(program(where, cut), f"tests: '{UNITTEST}', protect: []", iterations=1))
    assert (ended(done), branch(where)) == ((4, "iterations"), ""), done
    assert "failed before and is no longer collected" in report(where)


# --- review -------------------------------------------------------------------------------------------------------------------
SWALLOW = """\
pathlib.Path('shop.py').write_text(
    'def double(number):\\n    try:\\n        return number + number\\n    except Exception:\\n        pass\\n')
says(title='ZEBRA title', rationale='ZEBRA: trust me, it is right')
"""


@pytest.mark.parametrize("gate", [False, True], ids=["advisory", "gate"])
def test_a_judge_that_objects_is_shown_and_a_gate_stops(tmp_path: Path, gate: bool) -> None:
    where = shop(tmp_path / "repo", {"tools/judge.py": JUDGE})
    review = f"review: {{run: '{sys.executable} tools/judge.py', gate: {str(gate).lower()}}}"
    done = run(where, loop_text(program(where, SWALLOW), f"tests: '{UNITTEST}', {review}", iterations=1))
    assert ended(done) == ((4, "iterations") if gate else (0, "goal")), done
    assert bool(branch(where)) is not gate
    text = report(where)
    assert "an exception is swallowed without a trace" in text
    assert "not calibrated" in text


WITNESS = """\
import json, os, pathlib, sys
request = pathlib.Path(os.environ['LOOPWRIGHT_REVIEW']).read_text()
with open(sys.argv[1], 'a') as log:
    log.write(request + ' ' + json.dumps(dict(os.environ)) + '\\n')
pathlib.Path(os.environ['LOOPWRIGHT_RESULT']).write_text(json.dumps({'verdict': sys.argv[2], 'reason': 'so I think'}))
"""


def test_judges_that_contradict_each_other_twice_bring_a_person_who_ends_it(tmp_path: Path) -> None:
    """And neither of them ever saw a word of the maker's."""
    where = shop(tmp_path / "repo", {"judge.py": WITNESS})
    log = tmp_path / "witness.log"
    judge = f"{sys.executable} judge.py {log}"
    review = f"review: [{{run: '{judge} accept'}}, {{run: '{judge} object', gate: true}}]"
    body = FIX + "edit('shop.py', 'def double', f'# {task[\"iteration\"]}\\ndef double')\n"
    body += "says(title='ZEBRA title', rationale='ZEBRA: trust me')\n"
    done = run(where, loop_text(program(where, body), f"tests: '{UNITTEST}', {review}"))
    assert (ended(done), done.json()["iterations"]) == ((3, "waiting"), 2), done
    assert "contradicted each other in 2 iterations" in str(done.json()["summary"])
    run_id = str(done.json()["run"])
    denied = loopwright("deny", f"{run_id}:q1", "--why", "unclear goal", cwd=where, env=UNSANDBOXED)
    assert denied.code == 1, denied
    assert "(disagreement)" in denied.out
    assert "unclear goal" in denied.out
    assert branch(where) == ""
    seen = log.read_text()
    assert seen.count("\n") == 4
    assert "ZEBRA" not in seen
    assert "always double" not in seen
    assert "number + number" in seen, "the change itself is what it judges"


def test_a_judge_of_the_makers_family_is_refused_before_anything_runs(tmp_path: Path) -> None:
    where = shop(tmp_path / "repo", {"judge.py": WITNESS})
    judge = f"{sys.executable} judge.py {tmp_path / 'witness.log'} accept"
    text = loop_text(
        program(where, FIX),
        f"tests: '{UNITTEST}', review: {{run: '{judge}', independent: true, family: anthropic}}",
    )
    text = re.sub(r'act: \[\{command: (".*")\}\]', r"act: [{command: {run: \1, family: claude}}]", text)
    done = run(where, text)
    assert (done.code, done.json()["stop_reason"]) == (2, "usage")
    assert "is of the maker's family (anthropic)" in str(done.json()["error"])
    assert not (tmp_path / "propose.log").exists()
    assert not (tmp_path / "witness.log").exists()
    assert run(where, text.replace("family: claude", "family: openai")).code == 0


def test_what_a_calibration_measured_stands_beside_the_verdict(tmp_path: Path) -> None:
    where = shop(tmp_path / "repo", {"judge.py": WITNESS})
    judge = f"{sys.executable} judge.py {tmp_path / 'witness.log'} object"
    text = loop_text(program(where, FIX), f"tests: '{UNITTEST}', review: {{run: '{judge}'}}")
    (tmp_path / "loop.md").write_text(text)
    argv = ("review", "calibrate", tmp_path / "loop.md", "--defects", "2", "--json")
    measured = loopwright(*argv, cwd=where, env=UNSANDBOXED)
    assert measured.code == 0, measured
    done = run(where, text)
    assert ended(done) == (0, "goal"), done
    assert re.search(r"says nothing: false alarms 2 of 2, misses 0 of 2 on seeded defects\): so I think", report(where))


# --- claims -------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("answer", "code", "reason"), [("approve", 1, "impossible"), ("deny", 5, "exhausted")], ids=["agreed", "not agreed"]
)
def test_a_goal_that_is_called_impossible_goes_to_a_person(tmp_path: Path, answer: str, code: int, reason: str) -> None:
    where = shop(tmp_path / "repo")
    done = run(where, loop_text(program(where, "says(impossible='double is not defined')\n"), f"tests: '{UNITTEST}'"))
    assert ended(done) == (3, "waiting"), done
    assert "double is not defined" in str(done.json()["summary"])
    run_id = str(done.json()["run"])
    answered = loopwright(answer, f"{run_id}:q1", cwd=where, env=UNSANDBOXED)
    assert answered.code == code, answered
    assert f"({reason})" in answered.out
    (finished,) = of_kind(history(where, run_id), ev.RunFinished)
    assert (finished.reason, finished.exit_code) == (reason, code)
    assert (branch(where), untouched(where)) == ("", True)


def test_a_claim_to_be_done_is_checked_and_answered(tmp_path: Path) -> None:
    """The answer is the first thing that the program is told next; it then does its work."""
    where = shop(tmp_path / "repo")
    body = "if task['iteration'] == 1:\n    says(done=True)\nelse:\n" + "".join(f"    {x}\n" for x in FIX.splitlines())
    done = run(where, loop_text(program(where, body), f"tests: '{UNITTEST}'"))
    assert (ended(done), done.json()["iterations"]) == ((0, "goal"), 2), done
    first, second = (str(call["task"]) for call in calls(where))
    assert "You said that it is done" not in first
    assert "You said that it is done; the check says: 1 of 2 tests fails" in second
