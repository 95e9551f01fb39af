"""Bad input: one clear line, exit 2, nothing half-done. Each case that the contract lists, as the user sees it."""

import contextlib
import sqlite3
from pathlib import Path

import pytest

from support.command_line import git, loopwright, repository

GREEN = {
    "app.py": "def one():\n    return 1\n",
    "test_app.py": "from app import one\n\n\ndef test_one():\n    assert one() == 1\n",
}
RED = {**GREEN, "app.py": "def one():\n    return 2\n"}


def loop(act: str = "[repair]", extra: str = "", tests: str = "python -m pytest -q") -> str:
    return f"---\nname: fix\nact: {act}\nevaluate: {{tests: {tests!r}}}\n{extra}---\nMake the tests pass.\n"


def test_no_such_loop_file_names_the_nearest(tmp_path: Path) -> None:
    repository(tmp_path, {**GREEN, "loops/fix.md": loop()})
    ended = loopwright("run", "loops/fxi.md", cwd=tmp_path)
    assert ended.code == 2
    assert ended.lines == ["no such loop file: loops/fxi.md; did you mean 'loops/fix.md'?"]


def test_not_a_repository_says_how_to_make_one(tmp_path: Path) -> None:
    ended = loopwright("fix", tmp_path, cwd=tmp_path)
    assert ended.code == 2
    assert len(ended.lines) == 1
    assert "is not a git repository" in ended.lines[0]
    assert "git init" in ended.lines[0]
    assert not (tmp_path / ".loopwright").exists()


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    ended = loopwright("fix", "nowhere", cwd=tmp_path)
    assert ended.code == 2
    assert len(ended.lines) == 1
    assert "does not exist" in ended.lines[0]


def test_uncommitted_changes_are_said_where_they_matter_and_are_not_lost(tmp_path: Path) -> None:
    """HEAD is green, the fault is uncommitted: a green answer would be the answer to another question."""
    repository(tmp_path, GREEN)
    (tmp_path / "app.py").write_text(RED["app.py"])
    ended = loopwright("fix", ".", cwd=tmp_path)
    assert ended.code == 2
    assert "app.py is uncommitted: not part of this run" in ended.lines[0]
    assert "commit them, or add --snapshot" in ended.lines[-1]
    assert (tmp_path / "app.py").read_text() == RED["app.py"]
    assert git(tmp_path, "status", "--porcelain") == " M app.py\n"


def test_snapshot_takes_uncommitted_changes_along(tmp_path: Path) -> None:
    repository(tmp_path, GREEN)
    (tmp_path / "app.py").write_text(RED["app.py"])
    ended = loopwright("fix", ".", "--snapshot", "--json", cwd=tmp_path)
    assert ended.code == 0, ended
    assert ended.json()["stop_reason"] == "goal"
    assert git(tmp_path, "status", "--porcelain") == " M app.py\n"
    assert git(tmp_path, "stash", "list") == ""


def test_a_test_command_that_is_not_there(tmp_path: Path) -> None:
    repository(tmp_path, GREEN)
    ended = loopwright("fix", ".", "--tests", "pytst -q", cwd=tmp_path)
    assert ended.code == 2
    assert "command not found: 'pytst'" in ended.lines[-1]


def test_all_tests_pass_already(tmp_path: Path) -> None:
    repository(tmp_path, GREEN)
    ended = loopwright("fix", ".", "--json", cwd=tmp_path)
    assert ended.code == 0
    found = ended.json()
    assert (found["stop_reason"], found["iterations"], found["kept"], found["branch"]) == ("nothing_to_do", 0, 0, None)
    assert git(tmp_path, "branch", "--list", "loopwright/*") == ""


def test_a_failing_test_that_cannot_be_collected(tmp_path: Path) -> None:
    repository(tmp_path, {**GREEN, "test_broken.py": "def test_x(:\n"})
    ended = loopwright("fix", ".", cwd=tmp_path)
    assert ended.code == 2
    assert "cannot be collected" in ended.lines[-1]
    assert "test_broken.py" in ended.lines[-1]


def test_a_suite_without_tests_is_not_a_success(tmp_path: Path) -> None:
    repository(tmp_path, {"app.py": "x = 1\n"})
    ended = loopwright("fix", ".", "--tests", "python -m pytest -q", cwd=tmp_path)
    assert ended.code == 2
    assert "no test" in ended.lines[-1] or "nothing was collected" in ended.lines[-1]


def test_a_repository_in_which_no_tests_are_found(tmp_path: Path) -> None:
    repository(tmp_path, {"notes.txt": "hello\n"})
    ended = loopwright("fix", ".", cwd=tmp_path)
    assert ended.code == 2
    assert "--tests CMD" in ended.lines[-1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (loop(act="[repare]"), "did you mean 'repair'"),
        (loop(extra="bugdet: {usd: 1}\n"), "did you mean 'budget'"),
        (loop(extra="when: [{cron: '0 0 31 2 *'}]\n"), "never fires"),
        (loop(extra="budget: {usd: 0}\n"), "0"),
        (loop(extra="stop: {iterations: 0}\n"), "0"),
        (loop(act="[{agent: {model: 'antropic:claude'}}]"), "did you mean"),
        (loop(act="[{agent: {model: 'anthropic:claude'}}]", extra="budget: {usd: 1}\n"), "not available yet"),
        (loop(act="[{cli: claude}]"), "not available yet"),
        (loop(extra="deliver: pull-request\n"), "not available yet"),
    ],
    ids=["rung", "key", "cron", "usd", "iterations", "model", "agent", "cli", "pull-request"],
)
def test_a_fault_in_the_loop_file_is_named_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    repository(tmp_path, {**RED, "loops/fix.md": text})
    ended = loopwright("run", "loops/fix.md", cwd=tmp_path)
    assert ended.code == 2
    assert len(ended.lines) == 1
    assert ended.lines[0].startswith("loops/fix.md")
    assert said in ended.lines[0]
    assert loopwright("ls", "--json", cwd=tmp_path).json()["runs"] == []


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("fix", ".", "--max-usd", "0"), "--max-usd: 0 leaves nothing to spend"),
        (("fix", ".", "--max-usd", "much"), "--max-usd: expected an amount such as 2.50, found 'much'"),
        (("fix", ".", "--max-iterations", "0"), "--max-iterations"),
        (("fix", ".", "--jobs", "0"), "--jobs"),
        (("frob",), "No such command 'frob'"),
        (("status", "last"), "there are no runs yet"),
        (("run",), "Missing argument"),
        (("init", "fixx"), "did you mean 'fix'"),
        (("improve", "--run", "x", "--metric", "m", "--goal", "up"), "--goal: expected min or max, found 'up'"),
        (
            ("improve", "--run", "x", "--metric", "m", "--goal", "min", "--minutes-per-run", "0"),
            "--minutes-per-run: expected a number above 0",
        ),
    ],
)
def test_a_faulty_command_line_gets_one_line(tmp_path: Path, argv: tuple[str, ...], said: str) -> None:
    repository(tmp_path, GREEN)
    ended = loopwright(*argv, cwd=tmp_path)
    assert ended.code == 2
    assert len(ended.lines) == 1
    assert said in ended.lines[0]


def test_errors_are_json_where_json_was_asked_for(tmp_path: Path) -> None:
    ended = loopwright("fix", ".", "--json", cwd=tmp_path)
    found = ended.json()
    assert (ended.code, found["exit_code"], found["stop_reason"]) == (2, 2, "usage")
    assert "is not a git repository" in str(found["error"])


def test_a_run_that_is_not_there_and_a_prefix_that_is_not_unique(tmp_path: Path) -> None:
    repository(tmp_path, GREEN)
    for _ in range(40):
        if len({run[0] for run in runs_of(tmp_path)}) < len(runs_of(tmp_path)):
            break
        loopwright("fix", ".", cwd=tmp_path)
    found = runs_of(tmp_path)
    shared = next(run[0] for run in found if sum(other[0] == run[0] for other in found) > 1)
    ended = loopwright("status", shared, cwd=tmp_path)
    assert ended.code == 2
    assert "expected a unique prefix" in ended.lines[0]
    ended = loopwright("status", "!!", cwd=tmp_path)
    assert ended.code == 2
    assert "no such run" in ended.lines[0]


def runs_of(where: Path) -> list[str]:
    rows = loopwright("ls", "--json", cwd=where).json()["runs"]
    assert isinstance(rows, list)
    return [row["run"] for row in rows]


def test_a_journal_from_a_newer_version(tmp_path: Path) -> None:
    repository(tmp_path, GREEN)
    assert loopwright("fix", ".", cwd=tmp_path).code == 0
    with contextlib.closing(sqlite3.connect(tmp_path / ".loopwright" / "journal.db")) as db, db:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        db.execute(f"PRAGMA user_version = {max(version, 1) + 41}")
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if "migrations" in tables:
            db.execute("UPDATE migrations SET version = version + 41")
        if "meta" in tables:
            db.execute("UPDATE meta SET value = 42 WHERE key LIKE '%version%'")
    ended = loopwright("ls", cwd=tmp_path)
    assert ended.code == 2
    assert len(ended.lines) == 1
    assert "newer loopwright" in ended.lines[0]
    assert "upgrade" in ended.lines[0]


def test_a_journal_that_is_no_database(tmp_path: Path) -> None:
    repository(tmp_path, GREEN)
    assert loopwright("fix", ".", cwd=tmp_path).code == 0
    for path in (tmp_path / ".loopwright").glob("journal.db*"):
        path.unlink()
    (tmp_path / ".loopwright" / "journal.db").write_bytes(b"not a database, but long enough to be read as one" * 100)
    ended = loopwright("ls", cwd=tmp_path)
    assert ended.code == 7
    assert len(ended.lines) == 1


def test_a_journal_server_that_cannot_be_reached(tmp_path: Path) -> None:
    repository(tmp_path, GREEN)
    env = {"LOOPWRIGHT_JOURNAL": "postgresql://nobody@127.0.0.1:1/none"}
    ended = loopwright("fix", ".", cwd=tmp_path, env=env)
    assert ended.code == 2
    assert len(ended.lines) == 1


def test_a_finished_run_is_not_resumed_but_can_be_forked(tmp_path: Path) -> None:
    repository(tmp_path, GREEN)
    assert loopwright("fix", ".", cwd=tmp_path).code == 0
    ended = loopwright("resume", "last", cwd=tmp_path)
    assert ended.code == 2
    assert "loopwright fork" in ended.lines[0]
    ended = loopwright("fork", "last", "--at", "999", cwd=tmp_path)
    assert ended.code == 2
    assert "--at expects an event between 1 and" in ended.lines[0]
