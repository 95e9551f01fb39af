"""A plain process tree: clean environment, bounded output, and nothing left of it, however it ended."""

import asyncio
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest

from loopwright.sandbox.plain import PlainSandbox
from loopwright.sandbox.protocol import ExecResult, ExecSpec, Limits

PATH = "/usr/local/bin:/usr/bin:/bin"

# Thirty processes: ten children, each with a grandchild in a session of its own and one without any environment.
TREE = """
import os, signal, subprocess
for _ in range(10):
    if os.fork() == 0:
        subprocess.Popen(["sleep", "1000"], start_new_session=True)
        subprocess.Popen(["sleep", "1000"], env={})
        print("ready", flush=True)
        signal.pause()
signal.pause()
"""


@pytest.fixture
def sandbox(tmp_path: Path) -> PlainSandbox:
    return PlainSandbox(tmp_path / "homes", PATH)


def spec_of(tmp_path: Path, *argv: str, **more: object) -> ExecSpec:
    fields = {"argv": argv, "cwd": tmp_path, "timeout_s": 60.0, "action_id": f"{tmp_path.name}/a1"} | more
    return ExecSpec(**fields)  # type: ignore[arg-type]


def run(sandbox: PlainSandbox, spec: ExecSpec) -> ExecResult:
    return asyncio.run(sandbox.run(spec))


def of_test(tmp_path: Path) -> list[int]:
    """The living processes that stand in this test's folder: found without the means of the code under test."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            try:
                if Path(os.readlink(entry / "cwd")).is_relative_to(tmp_path):
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def test_output_code_and_signal_are_reported(sandbox: PlainSandbox, tmp_path: Path) -> None:
    done = run(sandbox, spec_of(tmp_path, "sh", "-c", "echo out; echo err >&2; exit 3"))
    assert (done.status, done.returncode, done.stdout, done.stderr, done.truncated) == (
        "exited",
        3,
        b"out\n",
        b"err\n",
        False,
    )
    assert run(sandbox, spec_of(tmp_path, "sh", "-c", "kill -9 $$")).returncode == -signal.SIGKILL


def test_nothing_of_our_environment_is_inherited(
    sandbox: PlainSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "s3cr3t")
    done = run(sandbox, spec_of(tmp_path, "env", env={"EXTRA": "1"}))
    env = dict(line.split("=", 1) for line in done.stdout.decode().splitlines())
    assert b"s3cr3t" not in done.stdout
    assert env["EXTRA"] == "1"
    assert set(env) <= {
        "PATH", "HOME", "TMPDIR", "LANG", "TZ", "PYTHONDONTWRITEBYTECODE", "GIT_CEILING_DIRECTORIES", "PWD", "EXTRA",
        "LOOPWRIGHT_ACTION", "LOOPWRIGHT_CALL",
    }  # fmt: skip
    assert env["LOOPWRIGHT_ACTION"] == f"{tmp_path.name}/a1"


def test_home_and_tmp_are_private_writable_and_gone_afterwards(sandbox: PlainSandbox, tmp_path: Path) -> None:
    done = run(
        sandbox,
        spec_of(tmp_path, "sh", "-c", 'mkdir "$HOME/x" && chmod 0 "$HOME/x" && touch "$TMPDIR/y" && echo "$HOME"'),
    )
    home = Path(done.stdout.decode().strip())
    assert home.is_relative_to(tmp_path / "homes")
    assert list((tmp_path / "homes").iterdir()) == []


def test_a_home_that_was_changed_is_never_given_to_another_call(sandbox: PlainSandbox, tmp_path: Path) -> None:
    for plant in (
        'touch "$HOME/.x"',
        'chmod 777 "$HOME"',
        'rmdir "$TMPDIR" && ln -s / "$TMPDIR"',
        'touch "$HOME/../x"',
    ):
        run(sandbox, spec_of(tmp_path, "sh", "-c", plant))
        seen = run(
            sandbox,
            spec_of(tmp_path, "sh", "-c", 'stat -c "%F %a" "$HOME" "$TMPDIR"; ls -A "$HOME" "$TMPDIR" | grep -v :'),
        )
        assert seen.stdout.split() == b"directory 700 directory 700".split(), plant


def test_git_in_a_candidate_does_not_find_the_repository_around_it(sandbox: PlainSandbox, tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    tree = tmp_path / ".loopwright" / "work" / "x" / "tree"
    (tree / "sub").mkdir(parents=True)
    done = run(sandbox, spec_of(tmp_path, "sh", "-c", "cd sub && git rev-parse --show-toplevel", cwd=tree))
    assert done.returncode == 128
    assert b"not a git repository" in done.stderr


def test_long_output_keeps_its_head_and_tail_and_is_drained(sandbox: PlainSandbox, tmp_path: Path) -> None:
    done = run(sandbox, spec_of(tmp_path, "sh", "-c", "seq 1 9000; echo err >&2", limits=Limits(output_bytes=4000)))
    assert (done.status, done.returncode, done.truncated, done.stderr) == ("exited", 0, True, b"err\n")
    assert done.stdout.startswith(b"1\n2\n3\n")
    assert done.stdout.endswith(b"\n8999\n9000\n")
    head, note, tail = done.stdout[:1000], done.stdout[1000:-1000], done.stdout[-1000:]
    assert head + note + tail == done.stdout
    assert note == b"\n[... 41893 bytes left out ...]\n"


def test_output_up_to_the_cap_is_whole(sandbox: PlainSandbox, tmp_path: Path) -> None:
    done = run(sandbox, spec_of(tmp_path, "sh", "-c", "seq 1 100000", limits=Limits(output_bytes=600_000)))
    assert done.stdout.count(b"\n") == 100_000
    assert not done.truncated


def test_an_endless_flood_is_ended(sandbox: PlainSandbox, tmp_path: Path) -> None:
    done = run(sandbox, spec_of(tmp_path, "yes", limits=Limits(output_bytes=100_000)))
    assert (done.status, done.truncated) == ("output_limit", True)
    assert len(done.stdout) < 100_000
    assert of_test(tmp_path) == []


def test_limits_hold(sandbox: PlainSandbox, tmp_path: Path) -> None:
    limits = Limits(cpu_s=7, file_bytes=1 << 20, memory_bytes=1 << 30)
    shown = run(sandbox, spec_of(tmp_path, "sh", "-c", "ulimit -c; ulimit -t; ulimit -f; ulimit -v", limits=limits))
    assert shown.stdout.split() == [b"0", b"7", b"2048", b"1048576"]
    done = run(sandbox, spec_of(tmp_path, "dd", "if=/dev/zero", "of=big", "bs=1M", "count=2", limits=limits))
    assert done.returncode != 0
    assert (tmp_path / "big").stat().st_size == 1 << 20


def _started(
    tmp_path: Path, sandbox: PlainSandbox, then: Callable[[asyncio.Task[ExecResult]], Coroutine[None, None, None]]
) -> None:
    """Run the tree of thirty; once all of it stands, `then`."""

    async def main() -> None:
        task = asyncio.create_task(sandbox.run(spec_of(tmp_path, sys.executable, "-c", TREE)))
        while len(of_test(tmp_path)) < 31:
            assert not task.done(), task.result()
            await asyncio.sleep(0)
        await then(task)

    asyncio.run(main())


def test_a_cancelled_task_leaves_no_process_of_its_tree(sandbox: PlainSandbox, tmp_path: Path) -> None:
    async def cancel(task: asyncio.Task[ExecResult]) -> None:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    _started(tmp_path, sandbox, cancel)
    assert of_test(tmp_path) == []
    sandbox.close()
    assert list((tmp_path / "homes").iterdir()) == []


def test_a_task_cancelled_twice_leaves_no_process_either(sandbox: PlainSandbox, tmp_path: Path) -> None:
    async def cancel(task: asyncio.Task[ExecResult]) -> None:
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    _started(tmp_path, sandbox, cancel)
    assert of_test(tmp_path) == []


def test_a_timeout_ends_the_whole_tree_sessions_of_its_own_included(sandbox: PlainSandbox, tmp_path: Path) -> None:
    done = run(sandbox, spec_of(tmp_path, sys.executable, "-c", TREE, timeout_s=3.0))
    assert (done.status, done.returncode) == ("timeout", -signal.SIGKILL)
    assert b"ready" in done.stdout
    assert of_test(tmp_path) == []


def test_what_stays_in_the_background_is_ended_and_holds_nobody(sandbox: PlainSandbox, tmp_path: Path) -> None:
    """The sleepers inherit the pipes: reading to their end would take a thousand seconds."""
    bare = "env -i sleep 1000 & until [ $(cat /proc/$!/comm) = sleep ]; do :; done"
    command = f"sleep 1000 & setsid sleep 1000 & {bare}; echo done"
    done = run(sandbox, spec_of(tmp_path, "sh", "-c", command))
    assert (done.status, done.returncode, done.stdout) == ("exited", 0, b"done\n")
    assert of_test(tmp_path) == []


def test_fifty_runs_at_once_do_not_end_or_mix_up_each_other(sandbox: PlainSandbox, tmp_path: Path) -> None:
    """All carry the same action: the end of one must not take the others with it."""

    async def main() -> list[ExecResult]:
        specs = [
            spec_of(tmp_path, "sh", "-c", f"setsid sleep 1000 & sleep 0.{n % 5}; echo {n}; exit {n}") for n in range(50)
        ]
        return await asyncio.gather(*(sandbox.run(spec) for spec in specs))

    results = asyncio.run(main())
    assert [(r.status, r.returncode, r.stdout) for r in results] == [("exited", n, b"%d\n" % n) for n in range(50)]
    assert of_test(tmp_path) == []


DRIVER = """
import asyncio, sys
from pathlib import Path
from loopwright.sandbox.plain import PlainSandbox
from loopwright.sandbox.protocol import ExecSpec
here = Path(sys.argv[1])
spec = ExecSpec(("sh", "-c", "setsid sleep 1000 & sleep 1000"), here, 60.0, sys.argv[2])
asyncio.run(PlainSandbox(here / "homes", "/usr/bin:/bin").run(spec))
"""


def test_what_a_killed_driver_left_is_found_by_its_run_and_only_by_it(sandbox: PlainSandbox, tmp_path: Path) -> None:
    drivers = []
    one = f"run-{uuid.uuid4()}"  # another test session on this machine looks for its own
    eleven = f"{one}1"
    for run_id in (one, eleven):
        here = tmp_path / run_id
        here.mkdir()
        drivers.append(subprocess.Popen([sys.executable, "-c", DRIVER, str(here), f"{run_id}/a1"]))
    ours, others = tmp_path / one, tmp_path / eleven
    while len(of_test(ours)) < 3 or len(of_test(others)) < 3:
        assert [driver.poll() for driver in drivers] == [None, None]
    for driver in drivers:
        driver.kill()
        driver.wait()
    assert len(of_test(ours)) == 3
    assert sandbox.kill_orphans(one) == 3
    assert of_test(ours) == []
    assert len(of_test(others)) == 3
    assert sandbox.kill_orphans(one) == 0
    assert sandbox.kill_orphans(eleven) == 3
