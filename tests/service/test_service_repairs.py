"""The service as its users have it: a ticket or a commit comes in, a repaired branch and a report come out."""

import os
import signal
import subprocess
import time
from pathlib import Path

from support.command_line import MAIN, git, loopwright
from support.two_faults import make_repository

PATIENCE_S = 60


def loop(place: Path, when: str) -> str:
    return (place / "loop.md").read_text().replace("name: fix\n", f"name: fix\nwhen: {when}\n")


def served(repository: Path) -> subprocess.Popen[str]:
    env = {"PATH": os.environ["PATH"], "HOME": str(repository.parent), "PYTHONUNBUFFERED": "1"}
    argv = [*MAIN, "serve", "-C", str(repository), "--tick", "0.1"]
    return subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def wait_for_runs(service: subprocess.Popen[str], repository: Path, number: int) -> list[dict[str, object]]:
    """The runs, once `number` of them are finished and their reports written."""
    until_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < until_s:
        assert service.poll() is None, service.communicate()
        rows = loopwright("ls", "--json", cwd=repository).json()["runs"]
        assert isinstance(rows, list)
        done = [row for row in rows if row["status"] == "finished"]
        if len(done) >= number and all((report_of(repository, row) / "report.md").exists() for row in done):
            return done
    raise AssertionError(f"expected {number} finished runs within {PATIENCE_S} s, found {rows}")


def report_of(repository: Path, row: dict[str, object]) -> Path:
    return repository / ".loopwright" / "runs" / str(row["run"])


def test_a_ticket_becomes_a_repaired_branch_with_a_report(tmp_path: Path) -> None:
    repository = make_repository(tmp_path)
    (repository / "loops").mkdir()
    (repository / "loops" / "fix.md").write_text(loop(tmp_path, "[{ticket: tickets/}]"))
    service = served(repository)
    try:
        (repository / "tickets").mkdir()
        (repository / "tickets" / "001-numbers.md").write_text(
            "---\ntitle: numbers\nstatus: open\n---\nTwo is wrong.\n"
        )
        (row,) = wait_for_runs(service, repository, 1)
        assert (row["stop_reason"], row["kept"]) == ("goal", 2)
        assert git(repository, "show", f"{row['branch']}:two.txt") == "2\n"
        assert "tickets/001-numbers.md" in (report_of(repository, row) / "report.md").read_text()
        service.send_signal(signal.SIGTERM)
        out, _ = service.communicate(timeout=PATIENCE_S)
        assert service.returncode == 0, out
    finally:
        service.kill()
    assert loopwright("audit", "verify", cwd=repository).code == 0
    assert loopwright("replay", "last", cwd=repository).code == 0


def test_a_commit_on_another_branch_is_what_its_run_begins_from(tmp_path: Path) -> None:
    repository = make_repository(tmp_path)
    (repository / "loops").mkdir()
    (repository / "loops" / "fix.md").write_text(loop(tmp_path, "[{git: next}]"))
    git(repository, "branch", "next")
    service = served(repository)
    try:
        assert service.stdout is not None
        while "fix" not in service.stdout.readline():
            assert service.poll() is None
        # A commit on a branch that is not checked out, as a push to a bare mirror would make it.
        worktree = tmp_path / "elsewhere"
        git(repository, "worktree", "add", "-q", str(worktree), "next")
        (worktree / "two.txt").write_text("2\n")
        git(worktree, "commit", "-q", "-am", "two is right here")
        head = git(worktree, "rev-parse", "HEAD").strip()
        (row,) = wait_for_runs(service, repository, 1)
        assert (row["stop_reason"], row["kept"]) == ("goal", 1), "only three is wrong on that branch"
        assert git(repository, "rev-parse", f"{row['branch']}~1").strip() == head
        service.send_signal(signal.SIGTERM)
        service.communicate(timeout=PATIENCE_S)
        assert service.returncode == 0
    finally:
        service.kill()


def test_two_services_on_one_repository_are_one(tmp_path: Path) -> None:
    repository = make_repository(tmp_path)
    first = served(repository)
    try:
        assert first.stdout is not None
        assert "serving" in first.stdout.readline()
        ended = loopwright("serve", cwd=repository, timeout_s=30)
        assert ended.code == 3
        assert len(ended.lines) == 1
        assert str(first.pid) in ended.lines[0]
    finally:
        first.send_signal(signal.SIGTERM)
        first.communicate(timeout=PATIENCE_S)
