"""Processes are found by mark, session and descent, and one that is just replacing its program is waited for."""

import asyncio
import signal
import subprocess
from pathlib import Path

import pytest

from loopwright.sandbox.processes import Seen, end_all, reaped, with_mark, with_mark_prefix

NOBODY: frozenset[int] = frozenset()


def process(
    proc: Path,
    pid: int,
    *,
    environ: bytes = b"",
    cmdline: bytes = b"x\0",
    parent: int = 1,
    session: int = 1,
    state: str = "S",
    flags: int = 0,
) -> None:
    """As Linux shows it in /proc."""
    folder = proc / str(pid)
    folder.mkdir(exist_ok=True)
    (folder / "stat").write_text(f"{pid} (a (b) c) {state} {parent} 7 {session} 0 -1 {flags} 0 0")
    (folder / "environ").write_bytes(environ)
    (folder / "cmdline").write_bytes(cmdline)


def test_a_process_that_is_replacing_its_program_is_undecided_and_then_found(tmp_path: Path) -> None:
    scans = (
        with_mark("CALL=1", besides=NOBODY, session=99, proc=tmp_path),
        with_mark_prefix("CALL", "1", proc=tmp_path),
    )
    process(tmp_path, 10, cmdline=b"", state="R")
    assert [scan() for scan in scans] == [Seen((), undecided=True)] * 2
    process(tmp_path, 10, environ=b"A=2\0CALL=1\0")
    assert [scan() for scan in scans] == [Seen((10,))] * 2


def test_zombies_kernel_threads_and_cleared_environments_leave_nothing_undecided(tmp_path: Path) -> None:
    process(tmp_path, 10, cmdline=b"", state="Z")
    process(tmp_path, 11, cmdline=b"", flags=0x00200000)
    process(tmp_path, 12)
    (tmp_path / "not-a-pid").mkdir()
    (tmp_path / "13").mkdir()  # gone between two looks
    assert with_mark("CALL=1", besides=NOBODY, session=99, proc=tmp_path)() == Seen(())
    assert with_mark_prefix("CALL", "1", proc=tmp_path)() == Seen(())


def test_session_descent_and_the_exact_mark_lead_to_a_process_and_nothing_else_does(tmp_path: Path) -> None:
    process(tmp_path, 10, session=99)
    process(tmp_path, 11, parent=10)
    process(tmp_path, 12, parent=11)
    process(tmp_path, 20, environ=b"CALL=1\0")
    process(tmp_path, 30, environ=b"CALL=12\0")
    process(tmp_path, 31, environ=b"XCALL=1\0")
    process(tmp_path, 32, environ=b"CALL=1\0", session=99)
    scan = with_mark("CALL=1", besides=frozenset({32}), session=99, proc=tmp_path)
    assert scan() == Seen((10, 11, 12, 20))
    assert with_mark_prefix("CALL", "1", proc=tmp_path)() == Seen((20, 30, 32))


@pytest.mark.parametrize("before", [(), (Seen(()),)], ids=["at once", "after another was killed"])
def test_ending_goes_on_while_somebody_is_undecided(before: tuple[Seen, ...]) -> None:
    """Scripted scans, a real process: it shows only after several scans in which it could not be read."""
    first, late = (subprocess.Popen(["sleep", "1000"]) for _ in range(2))
    hidden = Seen((), undecided=True)
    start = [Seen((first.pid,)), Seen((first.pid,)), *before] if before else []
    script = iter([*start, hidden, hidden, hidden, Seen((late.pid,)), Seen((late.pid,)), Seen(()), Seen(())])
    try:
        killed, left = end_all(lambda: next(script))
        assert (killed, left) == (2 if before else 1, ())
        assert late.wait() == -9
    finally:
        for each in (first, late):
            each.kill()
            each.wait()


def test_a_process_that_is_not_confirmed_is_not_touched() -> None:
    """Its number was given to somebody else between the look and the handle."""
    stranger = subprocess.Popen(["sleep", "1000"])
    script = iter([Seen((stranger.pid,)), Seen(()), Seen(()), Seen(())])
    try:
        assert end_all(lambda: next(script)) == (0, ())
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_waiting_for_a_killed_process_outlasts_being_cancelled_again(tmp_path: Path) -> None:
    """Abandoned, its transport would outlive the loop and complain from there."""

    async def main() -> None:
        process = await asyncio.create_subprocess_exec("sleep", "1000", cwd=tmp_path)
        waiting = asyncio.create_task(reaped(process))
        for _ in range(3):
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.sleep(0)
            ended_early = waiting.done()
            if ended_early:
                break
        process.kill()
        await asyncio.wait({waiting})
        await process.wait()
        assert not ended_early
        assert waiting.cancelled()
        assert process.returncode == -signal.SIGKILL

    asyncio.run(main())
