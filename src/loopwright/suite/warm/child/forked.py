"""One forked child with limits, and what became of it. Nothing of it is alive afterwards."""

import contextlib
import json
import mmap
import os
import resource
import select
import signal
import struct
import time
from dataclasses import dataclass
from typing import Any

__all__ = ["Ended", "Limits", "Way", "adopt_orphans", "end_orphans", "fork"]

_RECORD_BYTES = 8 << 20
_FILE_BYTES = 1 << 30
_TICK_S = 0.2
_AT = struct.Struct("<i")
_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True)
class Limits:
    """`cpu_s` and `wall_s` of the whole child; `memory_bytes` beyond what its parent has. A test has limits of its own (`Way.test`)."""

    cpu_s: float
    wall_s: float
    memory_bytes: int


@dataclass(frozen=True)
class Ended:
    """`record` is `None` when the child left none, whatever its exit status: an `os._exit(0)` is not a success.

    `hung`: it was ended because it took too long. `at` is the number of the test that ran last, -1 before the first.
    """

    record: "dict[str, Any] | None"
    hung: bool
    at: int
    cpu_ms: int


class Way:
    """The child's side: where it says what it is at, and what came out."""

    def __init__(self, writing: int, shared: "mmap.mmap") -> None:
        self._writing = writing
        self._shared = shared

    def test(self, number: int, cpu_s: float, wall_s: float) -> None:
        """The test `number` begins. CPU time for what computes, wall time for what waits: a busy machine must not make a good one hang."""
        signal.setitimer(signal.ITIMER_PROF, cpu_s)
        self._shared[4:12] = struct.pack("<d", wall_s)
        self._shared[:4] = _AT.pack(number)

    def leave(self, record: "dict[str, Any]") -> None:
        data = json.dumps(record).encode() + b"\n"
        while data:
            data = data[os.write(self._writing, data) :]
        os._exit(0)


def fork(limits: Limits) -> "Ended | Way":
    """In the parent an `Ended`, when the child has ended. In the child, at once, its `Way`, by which it must leave."""
    reading, writing = os.pipe()
    shared = mmap.mmap(-1, 16)
    shared[:4] = _AT.pack(-1)
    shared[4:12] = struct.pack("<d", limits.wall_s)
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        _confine(limits)
        return Way(writing, shared)
    os.close(writing)
    hung = False
    data = b""
    try:
        data, hung = _read(reading, shared, limits)
    finally:
        os.close(reading)
        _kill_group(pid)
        _, status, used = os.wait4(pid, 0)
    at = int(_AT.unpack(shared[:4])[0])
    shared.close()
    hung |= os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGPROF, signal.SIGXCPU)
    record = None
    if data.endswith(b"\n"):
        with contextlib.suppress(ValueError):
            record = json.loads(data)
    return Ended(record if isinstance(record, dict) else None, hung, at, int(1000 * (used.ru_utime + used.ru_stime)))


def adopt_orphans() -> None:
    """What a test started and left running comes to this process when its parent ends, and can be found. Linux only."""
    with contextlib.suppress(Exception):
        import ctypes

        ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_orphans(keep: "set[int]") -> None:
    """End all children but `keep`, and theirs, which come here when they are orphaned."""
    for _ in range(50):
        others = _children() - keep if keep or _has_children() else set()
        if not others:
            return
        for pid in others:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(OSError):
                os.waitpid(pid, 0)


def _has_children() -> bool:
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return False
    return True


def _children() -> "set[int]":
    """Not every kernel has `/proc/…/children`; the parent stands behind the name in `stat`, which may hold spaces and brackets."""
    found, me = set(), os.getpid()
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                with open(f"/proc/{name}/stat", "rb") as stream:
                    if int(stream.read().rpartition(b")")[2].split()[1]) == me:
                        found.add(int(name))
    return found


def _confine(limits: Limits) -> None:
    os.setsid()
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, limits.cpu_s)
    _tighten(resource.RLIMIT_CPU, int(limits.cpu_s + time.process_time()) + 2)
    _tighten(resource.RLIMIT_AS, _memory_now() + limits.memory_bytes)
    _tighten(resource.RLIMIT_FSIZE, _FILE_BYTES)
    _tighten(resource.RLIMIT_CORE, 0)


def _tighten(which: int, value: int) -> None:
    _, hard = resource.getrlimit(which)
    most = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(which, (most, most))


def _memory_now() -> int:
    with open("/proc/self/statm", "rb") as stream:
        return int(stream.read().split()[0]) * resource.getpagesize()


def _read(fd: int, shared: "mmap.mmap", limits: Limits) -> "tuple[bytes, bool]":
    began = since = time.monotonic()
    at = -1
    data = b""
    while not data.endswith(b"\n") and len(data) < _RECORD_BYTES:
        ready, _, _ = select.select([fd], [], [], _TICK_S)
        now = time.monotonic()
        if ready:
            chunk = os.read(fd, 1 << 16)
            if not chunk:
                break
            data += chunk
            continue
        seen = int(_AT.unpack(shared[:4])[0])
        if seen != at:
            at, since = seen, now
        if now - since > struct.unpack("<d", shared[4:12])[0] or now - began > limits.wall_s:
            return b"", True
    return data, False


def _kill_group(pid: int) -> None:
    """The child made itself the leader of a group; killed before it got that far, it is killed alone."""
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            kill(pid, signal.SIGKILL)
