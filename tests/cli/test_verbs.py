"""Every verb on a real run of a real repository, as a user and a script see it.

The proposer of these runs is watched from outside, so they are unsandboxed; test_bad_input.py and test_sandboxed.py are not.
"""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from loopwright.engine import runs
from loopwright.engine.site import open_site
from loopwright.kernel import events as ev
from support.command_line import MAIN, Ended, git
from support.command_line import loopwright as plain_loopwright
from support.two_faults import UNSANDBOXED, make_repository


def loopwright(*argv: str | Path, cwd: Path, env: dict[str, str] | None = None, timeout_s: int = 120) -> Ended:
    return plain_loopwright(*argv, cwd=cwd, env={**UNSANDBOXED, **(env or {})}, timeout_s=timeout_s)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A repository with one finished run; tests only look at it."""
    place = tmp_path_factory.mktemp("done")
    repository = make_repository(place)
    ended = loopwright("run", place / "loop.md", "-C", repository, "--json", cwd=place)
    assert ended.code == 0, ended
    return repository, str(ended.json()["run"])


def test_run_ends_with_a_branch_a_report_and_an_untouched_checkout(tmp_path: Path) -> None:
    repository = make_repository(tmp_path)
    before = (git(repository, "rev-parse", "HEAD"), (repository / ".git" / "index").read_bytes())
    ended = loopwright("run", tmp_path / "loop.md", "-C", repository, "--json", cwd=tmp_path)
    found = ended.json()
    assert (ended.code, found["exit_code"], found["stop_reason"], found["kept"]) == (0, 0, "goal", 2)
    branch = str(found["branch"])
    assert branch == f"loopwright/fix/{found['run']}"
    assert git(repository, "show", f"{branch}:two.txt", f"{branch}:three.txt") == "2\n3\n"
    message = git(repository, "log", "-1", "--format=%B", branch)
    assert f"Loopwright-Run: {found['run']}" in message
    assert "Loopwright-Iteration: 2" in message
    assert found["commit"] == git(repository, "rev-parse", branch).strip()
    assert (git(repository, "rev-parse", "HEAD"), (repository / ".git" / "index").read_bytes()) == before
    assert git(repository, "status", "--porcelain") == ""
    report = Path(str(found["report"]))
    assert {path.name for path in report.parent.iterdir()} == {"report.md", "report.html", "results.tsv"}
    rows = [line.split("\t") for line in (report.parent / "results.tsv").read_text().splitlines()]
    assert rows[0] == ["commit", "metric", "status", "description"]
    assert [row[2] for row in rows[1:]] == ["keep", "keep"]
    assert "not sandboxed" in str(found["sandbox"])
    assert not list((repository / ".loopwright" / "work").iterdir()), "a workspace was left behind"


def test_progress_in_a_pipe_is_plain_lines_without_colour(tmp_path: Path) -> None:
    repository = make_repository(tmp_path)
    ended = loopwright("run", tmp_path / "loop.md", "-C", repository, cwd=tmp_path)
    assert ended.code == 0
    assert "\x1b" not in ended.out + ended.err
    assert any("kept" in line for line in ended.lines)
    assert ended.out.startswith("done: the goal is met")
    assert "git merge --no-ff loopwright/fix/" in ended.out


def test_dry_run_prints_plan_and_limits_and_writes_nothing(tmp_path: Path) -> None:
    repository = make_repository(tmp_path)
    argv = ("run", tmp_path / "loop.md", "-C", repository, "--dry-run", "--max-iterations", "3", "--max-usd", "1.50")
    ended = loopwright(*argv, cwd=tmp_path)
    assert ended.code == 0
    assert "limits   3 iterations, 30 minutes, $1.5, tokens not limited" in ended.out
    assert not (tmp_path / "proposed.log").exists()
    found = loopwright(*argv, "--json", cwd=tmp_path).json()
    assert found["budget"] == {"usd_micros": 1_500_000, "tokens": None, "wall_ms": 1_800_000, "iterations": 3}
    assert loopwright("ls", "--json", "-C", repository, cwd=tmp_path).json()["runs"] == []


def test_a_limit_that_ends_a_run_is_exit_4_and_what_was_kept_is_delivered(tmp_path: Path) -> None:
    repository = make_repository(tmp_path)
    ended = loopwright("run", tmp_path / "loop.md", "-C", repository, "--max-iterations", "1", "--json", cwd=tmp_path)
    found = ended.json()
    assert (ended.code, found["stop_reason"], found["kept"]) == (4, "iterations", 1)
    assert git(repository, "show", f"{found['branch']}:two.txt") == "2\n"


def test_the_goal_on_the_last_allowed_iteration_is_success(tmp_path: Path) -> None:
    repository = make_repository(tmp_path)
    ended = loopwright("run", tmp_path / "loop.md", "-C", repository, "--max-iterations", "2", cwd=tmp_path)
    assert ended.code == 0


@pytest.mark.parametrize("how", ["patch", "file"])
def test_other_deliveries_leave_no_branch_to_merge_but_files(tmp_path: Path, how: str) -> None:
    repository = make_repository(tmp_path)
    loop = tmp_path / "loop.md"
    loop.write_text(loop.read_text().replace("deliver: branch", f"deliver: {how}"))
    ended = loopwright("run", loop, "-C", repository, "--json", cwd=tmp_path)
    assert ended.code == 0, ended
    run_dir = Path(str(ended.json()["report"])).parent
    if how == "file":
        assert (run_dir / "files" / "two.txt").read_text() == "2\n"
    else:
        clone = tmp_path / "clone"
        git(tmp_path, "clone", "-q", str(repository), str(clone))
        git(clone, "am", "-q", str(run_dir / "fix.patch"))
        assert (clone / "three.txt").read_text() == "3\n"


def test_ls_status_show_log_and_cost_agree_on_a_run(done: tuple[Path, str]) -> None:
    repository, run = done
    rows = loopwright("ls", "--json", cwd=repository).json()["runs"]
    assert isinstance(rows, list)
    assert [(row["run"], row["status"], row["kept"]) for row in rows] == [(run, "finished", 2)]
    status = loopwright("status", run[:4], "--json", cwd=repository).json()
    assert (status["run_id"], status["stop_reason"], status["exit_code"]) == (run, "goal", 0)
    shown = loopwright("show", "last", cwd=repository)
    assert "# Run" in shown.out
    assert "The goal is reached" in shown.out
    lines = loopwright("log", run, "--json", cwd=repository).out.splitlines()
    events = [json.loads(line) for line in lines]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert events[-1]["body"]["type"] == "run_finished"
    plain = loopwright("log", run, cwd=repository).out.splitlines()
    assert len(plain) == len(events)
    cost = loopwright("cost", run, "--json", cwd=repository).json()
    assert cost["own"]["usd_micros"] == 0  # type: ignore[index]
    assert "total $0.0000" in loopwright("cost", cwd=repository).out
    for verb in ("ls", "status", "approvals"):
        assert loopwright(verb, cwd=repository).code == 0


def test_log_follow_ends_when_the_run_is_finished(done: tuple[Path, str]) -> None:
    repository, _ = done
    assert loopwright("log", "last", "--follow", cwd=repository, timeout_s=30).code == 0


def test_replay_proves_the_decisions_and_rebuilds_the_commits(done: tuple[Path, str], tmp_path: Path) -> None:
    repository, run = done
    ended = loopwright("replay", run, cwd=repository)
    assert ended.code == 0
    assert "every decision is the one that follows" in ended.out
    assert "(the same)" in ended.out
    # A run can be rebuilt anywhere from base commit and journal: a clone that never saw the branch.
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", "--single-branch", "--branch", "main", str(repository), str(clone))
    subprocess.run(["cp", "-r", str(repository / ".loopwright"), str(clone / ".loopwright")], check=True)
    ended = loopwright("replay", run, "--json", cwd=clone)
    found = ended.json()
    assert (ended.code, found["head"]) == (0, found["rebuilt"])


def test_audit_names_the_first_broken_event(tmp_path: Path) -> None:
    repository = make_repository(tmp_path)
    run = str(loopwright("run", tmp_path / "loop.md", "-C", repository, "--json", cwd=tmp_path).json()["run"])
    ended = loopwright("audit", "verify", cwd=repository)
    assert ended.code == 0
    assert f"ok      {run}" in ended.out
    with contextlib.closing(sqlite3.connect(repository / ".loopwright" / "journal.db")) as db, db:
        (data,) = db.execute("SELECT bytes FROM events WHERE run_id = ? AND seq = 5", (run,)).fetchone()
        changed = bytes(data)[:-2] + b"  "
        db.execute("UPDATE events SET bytes = ? WHERE run_id = ? AND seq = 5", (changed, run))
    ended = loopwright("audit", "verify", run, cwd=repository)
    assert ended.code == 7
    assert "5" in ended.out
    found = loopwright("audit", "verify", run, "--json", cwd=repository).json()
    assert found["stop_reason"] == "integrity"
    assert found["streams"][run]["broken_seq"] == 5  # type: ignore[index]
    for verb in ("resume", "replay", "status"):
        ended = loopwright(verb, run, cwd=repository)
        assert ended.code == 7, (verb, ended)


def test_fork_continues_from_any_point_as_a_new_run(done: tuple[Path, str]) -> None:
    """Every event of the finished run is forked from; each fork is a run of its own that ends and proves itself."""
    repository, run = done
    site = open_site(repository, {"PATH": os.environ["PATH"], **UNSANDBOXED})
    events = list(site.journal.read(run))
    kept_at = next(e.seq for e in events if isinstance(e.body, ev.Kept))
    for at in (1, kept_at - 1, kept_at, len(events) - 3, len(events)):
        ended = loopwright("fork", run, "--at", str(at), "--json", cwd=repository)
        found = ended.json()
        assert (ended.code, found["stop_reason"]) == (0, "goal"), (at, ended)
        fork = str(found["run"])
        assert fork != run
        tree = git(repository, "rev-parse", f"loopwright/fix/{fork}^{{tree}}")
        assert tree == git(repository, "rev-parse", f"loopwright/fix/{run}^{{tree}}")
        assert loopwright("replay", fork, cwd=repository).code == 0
        assert loopwright("audit", "verify", fork, cwd=repository).code == 0
    assert list(site.journal.read(run)) == events, "the parent is not touched"
    site.journal.close()


def test_fork_gives_a_run_that_hit_its_limit_more(tmp_path: Path) -> None:
    repository = make_repository(tmp_path)
    first = loopwright(
        "run", tmp_path / "loop.md", "-C", repository, "--max-iterations", "1", "--json", cwd=tmp_path
    ).json()
    site = open_site(repository, {"PATH": os.environ["PATH"], **UNSANDBOXED})
    last = runs.load(site, str(first["run"])).seq
    site.journal.close()
    ended = loopwright("fork", "last", "--at", str(last), "--max-iterations", "5", "--json", cwd=repository)
    assert (ended.code, ended.json()["stop_reason"], ended.json()["iterations"]) == (0, "goal", 2)


def test_pause_stop_and_resume_from_another_process(tmp_path: Path) -> None:
    repository = make_repository(tmp_path)
    propose = tmp_path / "propose.py"
    quick = propose.read_text()
    propose.write_text(f"open({str(tmp_path / 'begun')!r}, 'w').close()\nimport time\ntime.sleep(600)\n")
    env = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(tmp_path),
        **UNSANDBOXED,
    }
    argv = [*MAIN, "run", str(tmp_path / "loop.md"), "-C", str(repository), "--json"]
    running = subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, text=True)
    while not (tmp_path / "begun").exists():
        assert running.poll() is None
    assert loopwright("status", "--json", cwd=repository).json()["status"] == "running"
    busy = loopwright("resume", "last", cwd=repository)
    assert busy.code == 3
    assert len(busy.lines) == 1
    ended = loopwright("pause", "last", "--why", "lunch", cwd=repository)
    assert ended.code == 0
    out, _ = running.communicate(timeout=60)
    assert (running.returncode, json.loads(out)["stop_reason"]) == (3, "paused")
    assert loopwright("status", "--json", cwd=repository).json()["status"] == "paused"
    again = loopwright("pause", "last", cwd=repository)
    assert (again.code, again.lines[0].split(";")[0]) == (2, f"run {json.loads(out)['run']} is paused already (lunch)")

    propose.write_text(quick)
    ended = loopwright("resume", "last", "--max-iterations", "1", "--json", cwd=repository)
    assert (ended.code, ended.json()["stop_reason"]) == (4, "iterations")

    propose.write_text(f"open({str(tmp_path / 'begun2')!r}, 'w').close()\nimport time\ntime.sleep(600)\n")
    running = subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, text=True)
    while not (tmp_path / "begun2").exists():
        assert running.poll() is None
    assert loopwright("stop", "last", "--why", "enough", cwd=repository).code == 0
    out, _ = running.communicate(timeout=60)
    assert (running.returncode, json.loads(out)["stop_reason"], json.loads(out)["summary"]) == (
        130,
        "stopped",
        "enough",
    )


def test_stop_of_a_run_that_nobody_drives_ends_it(tmp_path: Path) -> None:
    repository = make_repository(tmp_path)
    propose = tmp_path / "propose.py"
    propose.write_text(f"open({str(tmp_path / 'begun')!r}, 'w').close()\nimport time\ntime.sleep(600)\n")
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **UNSANDBOXED}
    running = subprocess.Popen(
        [*MAIN, "run", str(tmp_path / "loop.md"), "-C", str(repository)],
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not (tmp_path / "begun").exists():
        assert running.poll() is None
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert loopwright("status", "--json", cwd=repository).json()["status"] == "interrupted"
    ended = loopwright("stop", "last", "--json", cwd=repository)
    assert (ended.code, ended.json()["stop_reason"]) == (130, "stopped")
    assert loopwright("status", "--json", cwd=repository).json()["status"] == "finished"


def test_an_impossible_goal_waits_for_a_person_and_takes_the_answer(tmp_path: Path) -> None:
    repository = make_repository(tmp_path)
    (tmp_path / "propose.py").write_text(
        "import json, os\nwith open(os.environ['LOOPWRIGHT_RESULT'], 'w') as out:\n"
        "    json.dump({'impossible': 'two and three contradict each other'}, out)\n"
    )
    ended = loopwright("run", tmp_path / "loop.md", "-C", repository, "--json", cwd=tmp_path)
    assert (ended.code, ended.json()["stop_reason"]) == (3, "waiting")
    waiting = loopwright("approvals", "--json", cwd=repository).json()["approvals"]
    assert isinstance(waiting, list)
    (ask,) = waiting
    assert "contradict" in ask["ask"]["question"]
    wrong = loopwright("approve", f"{ask['run']}:q99", cwd=repository)
    assert wrong.code == 2
    ended = loopwright("approve", ask["id"], "--why", "I looked", "--json", cwd=repository)
    assert (ended.code, ended.json()["stop_reason"]) == (1, "impossible")
    assert loopwright("approvals", cwd=repository).out == "nothing waits for you\n"


def test_unattended_a_question_is_denied_as_the_loop_declares(tmp_path: Path) -> None:
    repository = make_repository(tmp_path)
    (tmp_path / "propose.py").write_text(
        "import json, os\nwith open(os.environ['LOOPWRIGHT_RESULT'], 'w') as out:\n"
        "    json.dump({'impossible': 'two and three contradict each other'}, out)\n"
    )
    ended = loopwright("run", tmp_path / "loop.md", "-C", repository, "--unattended", "--json", cwd=tmp_path)
    assert (ended.code, ended.json()["stop_reason"]) == (5, "exhausted")
    answers = [json.loads(line)["body"] for line in loopwright("log", "--json", cwd=repository).out.splitlines()]
    assert [(b["answer"], b["by"]) for b in answers if b["type"] == "answered"] == [("deny", "unattended")]


def test_the_minutes_of_a_run_end_a_proposer_that_does_not_and_everything_it_started(tmp_path: Path) -> None:
    repository = make_repository(tmp_path)
    loop = tmp_path / "loop.md"
    loop.write_text(loop.read_text().replace("minutes: 30", "minutes: 0.05"))
    (tmp_path / "propose.py").write_text(
        "import subprocess, time\nsubprocess.Popen(['setsid', 'sleep', '600'])\ntime.sleep(600)\n"
    )
    ended = loopwright("run", loop, "-C", repository, "--json", cwd=tmp_path)
    assert (ended.code, ended.json()["stop_reason"]) == (4, "minutes")
    site = open_site(repository, {"PATH": os.environ["PATH"], **UNSANDBOXED})
    assert site.sandbox.kill_orphans(str(ended.json()["run"])) == 0, "something of the proposer outlived the run"
    failed = [e.body for e in site.journal.read(str(ended.json()["run"])) if isinstance(e.body, ev.ActionFailed)]
    assert [body.status for body in failed] == ["timeout"]
    site.journal.close()


def test_an_action_that_takes_too_long_is_ended_and_the_run_goes_on(tmp_path: Path) -> None:
    repository = make_repository(tmp_path)
    loop = tmp_path / "loop.md"
    loop.write_text(loop.read_text().replace("deliver: branch", "deliver: branch\naction_minutes: 0.02"))
    quick = (tmp_path / "propose.py").read_text()
    (tmp_path / "propose.py").write_text(
        f"import os, time\nif not os.path.exists({str(tmp_path / 'slow')!r}):\n"
        f"    open({str(tmp_path / 'slow')!r}, 'w').close()\n    time.sleep(600)\n" + quick
    )
    ended = loopwright("run", loop, "-C", repository, "--json", cwd=tmp_path)
    assert (ended.code, ended.json()["stop_reason"]) == (0, "goal"), ended


def test_init_writes_a_loop_that_can_be_run_and_never_overwrites(tmp_path: Path) -> None:
    repository = make_repository(tmp_path)
    ended = loopwright("init", cwd=repository)
    assert ended.code == 0
    assert loopwright("run", "loops/fix.md", "--dry-run", cwd=repository).code == 0
    (repository / "loops" / "fix.md").write_text("mine")
    ended = loopwright("init", "fix", cwd=repository)
    assert ended.code == 2
    assert "is there already" in ended.lines[0]
    assert (repository / "loops" / "fix.md").read_text() == "mine"


def test_doctor_really_tries_the_sandbox_and_says_when_it_is_switched_off(tmp_path: Path) -> None:
    repository = make_repository(tmp_path)
    ended = plain_loopwright("doctor", cwd=repository)
    assert ended.code == 0, ended
    assert "bubblewrap" in ended.out and "not sandboxed" not in ended.out
    assert "not sandboxed" in loopwright("doctor", cwd=repository).out
    found = plain_loopwright("doctor", "--json", cwd=repository).json()
    checks = found["checks"]
    assert isinstance(checks, list)
    assert {check["name"] for check in checks} == {"git", "sandbox", "journal", "models", "repository"}
    ended = plain_loopwright("doctor", cwd=repository, env={"LOOPWRIGHT_SANDBOX": "container"})
    assert ended.code == 1
    assert "BAD   sandbox" in ended.out and "container: no engine and image are configured" in ended.out
    ended = loopwright("doctor", cwd=repository, env={"LOOPWRIGHT_JOURNAL": "postgresql://nobody@127.0.0.1:1/none"})
    assert ended.code == 1
    assert "BAD   journal" in ended.out


def test_gc_and_schema(done: tuple[Path, str]) -> None:
    repository, run = done
    assert loopwright("gc", "--json", cwd=repository).code == 0
    assert loopwright("replay", run, cwd=repository).code == 0
    assert json.loads(loopwright("schema", cwd=repository).out)["$schema"].startswith("https://json-schema.org/")


def test_output_to_a_reader_that_went_away_is_no_error(done: tuple[Path, str]) -> None:
    repository, run = done
    command = " ".join(("log", run, "--json", "-C", str(repository)))
    piped = f"{sys.executable} -c 'from loopwright.cli.main import main; main()' {command} | head -n 1"
    ended = subprocess.run(["bash", "-o", "pipefail", "-c", piped], capture_output=True, text=True, check=False)
    assert "Traceback" not in ended.stderr
    assert "BrokenPipe" not in ended.stderr
