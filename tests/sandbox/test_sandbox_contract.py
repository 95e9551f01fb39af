"""What every backend does with a command, whatever it isolates: plain processes, bubblewrap with sandboxes that wait, and without."""

import asyncio
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path

import pytest

from loopwright.errors import SandboxError
from loopwright.sandbox.bubblewrap import BubblewrapSandbox
from loopwright.sandbox.identity import sandbox_uid
from loopwright.sandbox.plain import PlainSandbox
from loopwright.sandbox.protocol import ExecResult, ExecSpec, Limits

PATH = "/usr/local/bin:/usr/bin:/bin"
PYTHON = os.path.realpath(sys.executable)

TREE = """
import os, signal, subprocess
for _ in range(5):
    if os.fork() == 0:
        subprocess.Popen(["sleep", "1000"], start_new_session=True)
        subprocess.Popen(["sleep", "1000"], env={})
        print("ready", flush=True)
        signal.pause()
signal.pause()
"""
TREE_PROCESSES = 16

Backend = PlainSandbox | BubblewrapSandbox


def make(kind: str, homes: Path) -> Backend:
    if kind == "plain":
        return PlainSandbox(homes, PATH)
    return BubblewrapSandbox(homes, PATH, uid=sandbox_uid({}), idle_limit=8 if kind == "pooled" else 0)


@pytest.fixture(params=["plain", "pooled", "one-shot"])
def sandbox(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    backend = make(request.param, tmp_path / "homes")
    yield backend
    backend.close()


@pytest.fixture
def here(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def spec_of(here: Path, *argv: str, **more: object) -> ExecSpec:
    fields = {"argv": argv, "cwd": here, "timeout_s": 60.0, "action_id": f"{here.parent.name}/a1", "writable": (here,)}
    return ExecSpec(**(fields | more))  # type: ignore[arg-type]


def run(sandbox: Backend, spec: ExecSpec) -> ExecResult:
    return asyncio.run(sandbox.run(spec))


def standing_in(here: Path) -> list[int]:
    """The living processes whose working directory is this folder, by its inode: a sandbox may call it anything."""
    wanted = os.stat(here)
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            try:
                at = os.stat(entry / "cwd")
            except OSError:
                continue
            if (at.st_dev, at.st_ino) == (wanted.st_dev, wanted.st_ino):
                found.append(int(entry.name))
    return found


def test_output_code_and_signal_are_reported(sandbox: Backend, here: Path) -> None:
    done = run(sandbox, spec_of(here, "sh", "-c", "echo out; echo err >&2; exit 3"))
    assert (done.status, done.returncode, done.stdout, done.stderr) == ("exited", 3, b"out\n", b"err\n")
    assert run(sandbox, spec_of(here, "sh", "-c", "kill -9 $$")).returncode == -signal.SIGKILL
    assert run(sandbox, spec_of(here, "sh", "-c", "exit 137")).returncode == 137


def test_arguments_reach_the_program_as_they_are(sandbox: Backend, here: Path) -> None:
    odd = ("a b", "$HOME", "; exit 1", "", "'\"\n", "*", "é")
    done = run(sandbox, spec_of(here, PYTHON, "-c", "import sys; print(sys.argv[1:])", *odd))
    assert done.stdout.decode() == f"{list(odd)}\n"


@pytest.mark.parametrize("argv", [(), ("",), ("no-such-program",), ("./none",), ("/",)])
def test_a_program_that_is_not_there_is_a_status(sandbox: Backend, here: Path, argv: tuple[str, ...]) -> None:
    done = run(sandbox, spec_of(here, argv=argv))
    assert (done.status, done.returncode) == ("not_found", 127)


def test_a_program_is_looked_for_on_the_path_of_the_call(sandbox: Backend, here: Path) -> None:
    tool = here / "bin" / "mytool"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\necho mine\n")
    tool.chmod(0o755)
    assert run(sandbox, spec_of(here, "mytool")).status == "not_found"
    assert run(sandbox, spec_of(here, "mytool", env={"PATH": f"{tool.parent}:{PATH}"})).stdout == b"mine\n"
    assert run(sandbox, spec_of(here, "bin/mytool")).stdout == b"mine\n"


def test_what_cannot_be_started_is_an_error_in_one_line(sandbox: Backend, here: Path) -> None:
    for match, spec in (
        ("does not exist", spec_of(here, "true", cwd=here / "gone")),
        ("cannot be started", spec_of(here, "true", "x" * (4 << 20))),
    ):
        with pytest.raises(SandboxError, match=match) as caught:
            run(sandbox, spec)
        assert "\n" not in str(caught.value)
    assert run(sandbox, spec_of(here, "true")).returncode == 0


def test_nothing_of_our_environment_is_inherited(sandbox: Backend, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "s3cr3t")
    done = run(sandbox, spec_of(here, "env", env={"EXTRA": "1"}))
    env = dict(line.split("=", 1) for line in done.stdout.decode().splitlines())
    assert env["EXTRA"] == "1"
    assert env["LOOPWRIGHT_ACTION"] == f"{here.parent.name}/a1"
    assert set(env) <= {
        "PATH", "HOME", "TMPDIR", "LANG", "TZ", "PYTHONDONTWRITEBYTECODE", "GIT_CEILING_DIRECTORIES", "PWD", "EXTRA",
        "LOOPWRIGHT_ACTION", "LOOPWRIGHT_CALL",
    }  # fmt: skip


def test_a_command_finds_home_and_tmp_as_new_whatever_the_one_before_it_left(sandbox: Backend, here: Path) -> None:
    look = 'stat -c "%F %a" "$HOME" "$TMPDIR"; ls -A "$HOME" "$TMPDIR" | grep -v :'
    for plant in (
        'touch "$HOME/.x"',
        'chmod 777 "$HOME"',
        'rmdir "$TMPDIR" && ln -s / "$TMPDIR"',
        'mkdir -p "$HOME/a/b" && touch "$HOME/a/b/c" && chmod 0 "$HOME/a"',
        'mkdir "$HOME/a"; cd "$HOME/a"; for i in $(seq 150); do mkdir d; cd d; done',
    ):
        run(sandbox, spec_of(here, "sh", "-c", plant))
        seen = run(sandbox, spec_of(here, "sh", "-c", look))
        assert seen.stdout.split() == b"directory 700 directory 700".split(), plant


def test_standard_input_is_fed_also_to_who_never_reads_it(sandbox: Backend, here: Path) -> None:
    big = b"x" * (1 << 20)
    assert run(sandbox, spec_of(here, "wc", "-c", stdin=big)).stdout.split() == [b"1048576"]
    assert run(sandbox, spec_of(here, "true", stdin=big)).returncode == 0
    assert run(sandbox, spec_of(here, "cat")).stdout == b""


def test_the_standard_streams_can_be_opened_by_name(sandbox: Backend, here: Path) -> None:
    done = run(
        sandbox, spec_of(here, "sh", "-c", "echo out >/dev/stdout; echo err >/dev/stderr; cat /dev/stdin", stdin=b"in")
    )
    assert (done.stdout, done.stderr) == (b"out\nin", b"err\n")


def test_what_is_written_is_there_afterwards(sandbox: Backend, here: Path) -> None:
    (here / "old").write_text("old")
    done = run(sandbox, spec_of(here, "sh", "-c", "cat old; echo new > new; echo more >> old"))
    assert (done.stdout, done.stderr) == (b"old", b"")
    assert ((here / "new").read_text(), (here / "old").read_text()) == ("new\n", "oldmore\n")


def test_long_output_keeps_its_head_and_tail_and_is_drained(sandbox: Backend, here: Path) -> None:
    done = run(sandbox, spec_of(here, "sh", "-c", "seq 1 9000; echo err >&2", limits=Limits(output_bytes=4000)))
    assert (done.status, done.returncode, done.truncated, done.stderr) == ("exited", 0, True, b"err\n")
    assert done.stdout.startswith(b"1\n2\n3\n")
    assert done.stdout.endswith(b"\n8999\n9000\n")


def test_an_endless_flood_is_ended(sandbox: Backend, here: Path) -> None:
    done = run(sandbox, spec_of(here, "yes", limits=Limits(output_bytes=100_000)))
    assert (done.status, done.truncated) == ("output_limit", True)
    assert standing_in(here) == []


def test_limits_of_a_process_hold(sandbox: Backend, here: Path) -> None:
    limits = Limits(cpu_s=7, file_bytes=1 << 20)
    shown = run(sandbox, spec_of(here, "sh", "-c", "ulimit -c; ulimit -t; ulimit -f", limits=limits))
    assert shown.stdout.split() == [b"0", b"7", b"2048"]
    done = run(sandbox, spec_of(here, "dd", "if=/dev/zero", "of=big", "bs=1M", "count=2", limits=limits))
    assert done.returncode != 0
    assert (here / "big").stat().st_size == 1 << 20


def _once_it_stands(
    here: Path, sandbox: Backend, then: Callable[[asyncio.Task[ExecResult]], Coroutine[None, None, None]]
) -> None:
    async def main() -> None:
        task = asyncio.create_task(sandbox.run(spec_of(here, PYTHON, "-c", TREE)))
        while len(standing_in(here)) < TREE_PROCESSES:
            assert not task.done(), task.result()
            await asyncio.sleep(0)
        await then(task)

    asyncio.run(main())


def test_a_cancelled_task_leaves_no_process_of_its_tree(sandbox: Backend, here: Path) -> None:
    async def cancel(task: asyncio.Task[ExecResult]) -> None:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    _once_it_stands(here, sandbox, cancel)
    assert standing_in(here) == []
    assert run(sandbox, spec_of(here, "true")).returncode == 0


def test_a_task_cancelled_twice_leaves_no_process_either(sandbox: Backend, here: Path) -> None:
    async def cancel(task: asyncio.Task[ExecResult]) -> None:
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    _once_it_stands(here, sandbox, cancel)
    assert standing_in(here) == []


def test_a_timeout_ends_the_whole_tree(sandbox: Backend, here: Path) -> None:
    done = run(sandbox, spec_of(here, PYTHON, "-c", TREE, timeout_s=2.0))
    assert (done.status, done.returncode) == ("timeout", -signal.SIGKILL)
    assert b"ready" in done.stdout
    assert standing_in(here) == []


def test_what_stays_in_the_background_is_ended_and_holds_nobody(sandbox: Backend, here: Path) -> None:
    """The sleepers inherit the pipes: reading to their end would take a thousand seconds."""
    bare = "env -i sleep 1000 & until [ $(cat /proc/$!/comm) = sleep ]; do :; done"
    done = run(sandbox, spec_of(here, "sh", "-c", f"sleep 1000 & setsid sleep 1000 & {bare}; echo done"))
    assert (done.status, done.returncode, done.stdout) == ("exited", 0, b"done\n")
    assert standing_in(here) == []


def test_several_runs_at_once_do_not_end_or_mix_up_each_other(sandbox: Backend, here: Path) -> None:
    async def main() -> list[ExecResult]:
        specs = [
            spec_of(here, "sh", "-c", f"setsid sleep 1000 & sleep 0.{n % 3}; echo {n}; exit {n}") for n in range(12)
        ]
        return await asyncio.gather(*(sandbox.run(spec) for spec in specs))

    results = asyncio.run(main())
    assert [(r.status, r.returncode, r.stdout) for r in results] == [("exited", n, b"%d\n" % n) for n in range(12)]
    assert standing_in(here) == []


def test_no_file_descriptor_is_left_open(sandbox: Backend, here: Path) -> None:
    async def main() -> tuple[list[str], list[str]]:
        async def some() -> None:
            await sandbox.run(spec_of(here, "true", stdin=b"x"))
            await sandbox.run(spec_of(here, "none"))
            await sandbox.run(spec_of(here, "sleep", "9", timeout_s=0.01))
            await sandbox.run(spec_of(here, "true"))

        await some()
        before = sorted(os.listdir("/proc/self/fd"))
        for _ in range(2):
            await some()
        return before, sorted(os.listdir("/proc/self/fd"))

    before, after = asyncio.run(main())
    assert before == after


DRIVER = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[4])
from test_sandbox_contract import make
from loopwright.sandbox.protocol import ExecSpec
here = Path(sys.argv[1])
spec = ExecSpec(("sh", "-c", "setsid sleep 1000 & sleep 1000"), here, 60.0, sys.argv[2], writable=(here,))
asyncio.run(make(sys.argv[3], here.parent / "homes").run(spec))
"""


@pytest.mark.parametrize("kind", ["plain", "pooled"])
def test_of_a_killed_driver_nothing_is_left_or_it_is_found_by_its_run(kind: str, here: Path) -> None:
    run_id = f"run-{uuid.uuid4()}"  # another test session on this machine looks for its own
    words = [str(here), f"{run_id}/a1", kind, str(Path(__file__).parent)]
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, *words])
    while len(standing_in(here)) < 3:
        assert driver.poll() is None
    driver.kill()
    driver.wait()
    sandbox = make(kind, here.parent / "homes")
    killed = sandbox.kill_orphans(run_id)
    if kind == "plain":
        assert killed == 3
    while standing_in(here):
        """Bubblewrap's end with their driver, by themselves: the test's time limit says if they do not."""
    assert sandbox.kill_orphans(run_id) == 0
    sandbox.close()
