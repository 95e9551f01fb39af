"""Finds processes by a mark in their environment and ends them; Linux only, elsewhere nothing is found.

Only a process that carries the mark, or that the kernel says belongs to the marked call's session or descends from it, is ever
signalled, and through a pidfd, so that a number that was given to somebody else in between is not hit.
"""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Scan", "Seen", "end_all", "pids", "reaped", "with_mark", "with_mark_prefix"]

_PROC = Path("/proc")
_PATIENCE_S = 5.0
_KERNEL_THREAD = 0x00200000  # PF_KTHREAD in the flags of /proc/PID/stat


@dataclass(frozen=True, slots=True)
class Seen:
    """`found` are the processes looked for. `undecided`: some process was just replacing its program, so its mark could not be read.

    That moment is short, but who loses the processor in it stays invisible for many scans: seen once in some hundred test runs.
    """

    found: tuple[int, ...]
    undecided: bool = False


Scan = Callable[[], Seen]


@dataclass(frozen=True, slots=True)
class _Stat:
    parent: int
    session: int


def pids() -> frozenset[int]:
    """All process ids that are in use now; empty where there is no /proc."""
    return _pids(_PROC)


def with_mark(mark: str, *, besides: frozenset[int], session: int, proc: Path = _PROC) -> Scan:
    """A scan for the processes of one call: `mark` (`NAME=value`) stands in their environment, or they are of `session`, or
    descend from such a process. `besides` are ids that were in use before the call began; they are not looked at.

    The session catches who cleared his environment, the mark who left the session.
    """
    wanted = mark.encode()

    def scan() -> Seen:
        parents: dict[int, int] = {}
        found: set[int] = set()
        undecided = False
        for pid in _pids(proc) - besides:
            stat = _stat(proc, pid)
            if stat is None:
                continue
            parents[pid] = stat.parent
            environ = _environ(proc, pid)
            if stat.session == session or (environ is not None and wanted in environ):
                found.add(pid)
            undecided = undecided or environ is None
        while found and (more := {pid for pid, parent in parents.items() if parent in found} - found):
            found |= more
        return Seen(tuple(sorted(found)), undecided)

    return scan


def with_mark_prefix(name: str, prefix: str, proc: Path = _PROC) -> Scan:
    """A scan for every process whose environment variable `name` starts with `prefix`."""
    wanted = f"{name}={prefix}".encode()

    def scan() -> Seen:
        environs = {pid: _environ(proc, pid) for pid in _pids(proc) if _stat(proc, pid) is not None}
        found = [
            pid for pid, entries in environs.items() if entries and any(entry.startswith(wanted) for entry in entries)
        ]
        return Seen(tuple(sorted(found)), None in environs.values())

    return scan


def end_all(scan: Scan) -> tuple[int, tuple[int, ...]]:
    """Kill what `scan` finds until it finds nothing more. Returns how many were killed and who is still there.

    Blocks, for milliseconds as a rule: a cancelled task must not be interrupted here.
    """
    killed: set[int] = set()
    until = time.monotonic() + _PATIENCE_S
    empty = 0
    left: tuple[int, ...] = ()
    while time.monotonic() < until:
        seen = scan()
        left = tuple(pid for pid in seen.found if pid != os.getpid())
        if not left:
            empty = 0 if seen.undecided else empty + 1
            # Who was killed may have started somebody while the scan was past his place: look once more.
            if empty > (1 if killed else 0):
                break
            continue
        empty = 0
        handles = _open(left)
        # Who is still found after the handle was opened is who the handle stands for.
        confirmed = frozenset(scan().found)
        for pid, handle in handles.items():
            with contextlib.suppress(ProcessLookupError):
                if pid in confirmed:
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
                    killed.add(pid)
            os.close(handle)
    return len(killed), left


async def reaped(process: asyncio.subprocess.Process) -> None:
    """Wait for a killed process, also when cancelled again: abandoned, its transport would outlive the loop."""
    ends = asyncio.ensure_future(process.wait())
    cancelled: asyncio.CancelledError | None = None
    while not ends.done():
        try:
            await asyncio.shield(ends)
        except asyncio.CancelledError as again:
            cancelled = again
    if cancelled is not None:
        raise cancelled


def _open(found: tuple[int, ...]) -> dict[int, int]:
    handles: dict[int, int] = {}
    for pid in found:
        with contextlib.suppress(OSError):
            handles[pid] = os.pidfd_open(pid)
    return handles


def _pids(proc: Path) -> frozenset[int]:
    try:
        return frozenset(int(name) for name in os.listdir(proc) if name.isdecimal())
    except OSError:
        return frozenset()


def _environ(proc: Path, pid: int) -> list[bytes] | None:
    """The entries of a process's environment, empty when it is not ours to read; `None` while it replaces its program.

    Then environment and command line are both empty, as for the kernel's own threads, which `_stat` leaves out. Who only cleared
    his environment still has a command line; it may have come between the two looks, so the environment is read again.
    """
    try:
        data = (proc / str(pid) / "environ").read_bytes()
        if not data and not (proc / str(pid) / "cmdline").read_bytes():
            return None
        return (data or (proc / str(pid) / "environ").read_bytes()).split(b"\0")
    except OSError:
        return []


def _stat(proc: Path, pid: int) -> _Stat | None:
    """`None` for who is gone or a zombie, and for threads of the kernel."""
    try:
        text = (proc / str(pid) / "stat").read_bytes()
    except OSError:
        return None
    # The name in brackets may hold anything, brackets and spaces too: count from the last one.
    fields = text[text.rindex(b")") + 2 :].split()
    if fields[0] in (b"Z", b"X") or int(fields[6]) & _KERNEL_THREAD:
        return None
    return _Stat(parent=int(fields[1]), session=int(fields[3]))
