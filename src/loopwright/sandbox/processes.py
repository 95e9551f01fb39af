"""Finds processes by a mark in their environment and ends them; Linux only, elsewhere nothing is found.

Only a process that carries the mark, or that the kernel says belongs to the marked call's session or descends from it, is ever
signalled, and through a pidfd, so that a number that was given to somebody else in between is not hit.
"""

import contextlib
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["end_all", "pids", "with_mark", "with_mark_prefix"]

_PROC = Path("/proc")
_PATIENCE_S = 5.0


@dataclass(frozen=True, slots=True)
class _Stat:
    alive: bool
    parent: int
    session: int


def pids() -> frozenset[int]:
    """All process ids that are in use now; empty where there is no /proc."""
    try:
        return frozenset(int(name) for name in os.listdir(_PROC) if name.isdecimal())
    except OSError:
        return frozenset()


def with_mark(mark: str, *, besides: frozenset[int], session: int) -> Callable[[], list[int]]:
    """A scan for the processes of one call: `mark` (`NAME=value`) stands in their environment, or they are of `session`, or
    descend from such a process. `besides` are ids that were in use before the call began; they are not looked at.

    The session catches who cleared his environment, the mark who left the session.
    """
    wanted = mark.encode()

    def scan() -> list[int]:
        parents: dict[int, int] = {}
        found: set[int] = set()
        for pid in pids() - besides:
            stat = _stat(pid)
            if stat is None or not stat.alive:
                continue
            parents[pid] = stat.parent
            if stat.session == session or wanted in _environ(pid):
                found.add(pid)
        while found and (more := {pid for pid, parent in parents.items() if parent in found} - found):
            found |= more
        return sorted(found)

    return scan


def with_mark_prefix(name: str, prefix: str) -> Callable[[], list[int]]:
    """A scan for every process whose environment variable `name` starts with `prefix`."""
    wanted = f"{name}={prefix}".encode()

    def scan() -> list[int]:
        marked = (pid for pid in pids() if any(entry.startswith(wanted) for entry in _environ(pid)))
        return sorted(pid for pid in marked if (stat := _stat(pid)) is not None and stat.alive)

    return scan


def end_all(scan: Callable[[], list[int]]) -> tuple[int, list[int]]:
    """Kill what `scan` finds until it finds nothing more. Returns how many were killed and who is still there.

    Blocks, for milliseconds as a rule: a cancelled task must not be interrupted here. Twice empty is the end: a process is invisible
    for a moment while it replaces its program.
    """
    killed: set[int] = set()
    until = time.monotonic() + _PATIENCE_S
    empty = 0
    left: list[int] = []
    while time.monotonic() < until:
        left = [pid for pid in scan() if pid != os.getpid()]
        if not left:
            empty += 1
            if empty > 1 or not killed:
                break
            continue
        empty = 0
        handles = _open(left)
        # Who is still found after the handle was opened is who the handle stands for.
        confirmed = frozenset(scan())
        for pid, handle in handles.items():
            with contextlib.suppress(ProcessLookupError):
                if pid in confirmed:
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
                    killed.add(pid)
            os.close(handle)
    return len(killed), left


def _open(found: list[int]) -> dict[int, int]:
    handles: dict[int, int] = {}
    for pid in found:
        with contextlib.suppress(OSError):
            handles[pid] = os.pidfd_open(pid)
    return handles


def _environ(pid: int) -> list[bytes]:
    try:
        return (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return []


def _stat(pid: int) -> _Stat | None:
    try:
        text = (_PROC / str(pid) / "stat").read_bytes()
    except OSError:
        return None
    # The name in brackets may hold anything, brackets and spaces too: count from the last one.
    fields = text[text.rindex(b")") + 2 :].split()
    return _Stat(alive=fields[0] not in (b"Z", b"X"), parent=int(fields[1]), session=int(fields[3]))
