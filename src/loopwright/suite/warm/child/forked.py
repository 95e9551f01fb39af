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
_TICK_S = 0.2
_NUMBER = struct.Struct("<i")
_WALL = struct.Struct("<d")
_LARGE = 0.5
_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True)
class Limits:
    """`wall_s` until the child ends or begins something else (`Way.within`); `memory_bytes` beyond what its parent has."""

    wall_s: float
    memory_bytes: int


@dataclass(frozen=True)
class Ended:
    """`record` is `None` when the child left none, whatever its exit status: an `os._exit(0)` is not a success.

    `hung`: it was ended because it took too long. `at` is the number of the test that ran last, -1 before the first. `large`: it came
    near its limit of memory, which a cold run has not.
    """

    record: "dict[str, Any] | None"
    hung: bool
    at: int
    cpu_ms: int
    large: bool


class Way:
    """The child's side: where it says what it is at, and what came out."""

    def __init__(self, writing: int, shared: "mmap.mmap", large_bytes: float) -> None:
        self._writing = writing
        self._shared = shared
        self._large_bytes = large_bytes
        self._stage = 0

    def within(self, wall_s: float) -> None:
        """From now on it may take that long. Wall time, as a cold run is limited: several threads use up CPU time faster."""
        self._stage += 1
        self._shared[8:] = _WALL.pack(wall_s)
        self._shared[4:8] = _NUMBER.pack(self._stage)

    def test(self, number: int) -> None:
        self._shared[:4] = _NUMBER.pack(number)

    def leave(self, record: "dict[str, Any]") -> None:
        # Asked for is as good as used: what is refused may be caught, and only then fail.
        data = json.dumps({**record, "large": _peak_bytes() > self._large_bytes}).encode() + b"\n"
        while data:
            data = data[os.write(self._writing, data) :]
        os._exit(0)


def fork(limits: Limits) -> "Ended | Way":
    """In the parent an `Ended`, when the child has ended. In the child, at once, its `Way`, by which it must leave."""
    reading, writing = os.pipe()
    shared = mmap.mmap(-1, 16)
    shared[:] = _NUMBER.pack(-1) + _NUMBER.pack(0) + _WALL.pack(limits.wall_s)
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        has_bytes = _memory_now()
        _confine(has_bytes, limits)
        return Way(writing, shared, has_bytes + _LARGE * limits.memory_bytes)
    os.close(writing)
    hung = False
    data = b""
    try:
        data, hung = _read(reading, shared)
    finally:
        os.close(reading)
        _kill_group(pid)
        _, _, used = os.wait4(pid, 0)
    at = int(_NUMBER.unpack(shared[:4])[0])
    shared.close()
    ours = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    large = (used.ru_maxrss - ours) * 1024 > _LARGE * limits.memory_bytes
    record = None
    if data.endswith(b"\n"):
        with contextlib.suppress(ValueError):
            record = json.loads(data)
    if not isinstance(record, dict):
        record = None
    elif record.pop("large", False):
        large = True
    return Ended(record, hung, at, int(1000 * (used.ru_utime + used.ru_stime)), large)


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


def _confine(has_bytes: int, limits: Limits) -> None:
    os.setsid()
    _tighten(resource.RLIMIT_AS, has_bytes + limits.memory_bytes)
    _tighten(resource.RLIMIT_CORE, 0)


def _tighten(which: int, value: int) -> None:
    _, hard = resource.getrlimit(which)
    most = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(which, (most, most))


def _memory_now() -> int:
    with open("/proc/self/statm", "rb") as stream:
        return int(stream.read().split()[0]) * resource.getpagesize()


def _peak_bytes() -> int:
    """0 where the test has left no descriptor to look it up with."""
    with contextlib.suppress(OSError), open("/proc/self/status", "rb") as stream:
        return next((int(line.split()[1]) * 1024 for line in stream if line.startswith(b"VmPeak:")), 0)
    return 0


def _read(fd: int, shared: "mmap.mmap") -> "tuple[bytes, bool]":
    since = time.monotonic()
    stage = shared[4:8]
    data = b""
    while not data.endswith(b"\n") and len(data) < _RECORD_BYTES:
        ready, _, _ = select.select([fd], [], [], _TICK_S)
        if ready:
            chunk = os.read(fd, 1 << 16)
            if not chunk:
                break
            data += chunk
            continue
        now = time.monotonic()
        if shared[4:8] != stage:
            stage, since = shared[4:8], now
        if now - since > _WALL.unpack(shared[8:])[0]:
            return b"", True
    return data, False


def _kill_group(pid: int) -> None:
    """The child made itself the leader of a group; killed before it got that far, it is killed alone."""
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            kill(pid, signal.SIGKILL)
