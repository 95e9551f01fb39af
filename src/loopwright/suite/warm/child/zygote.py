"""A warm process that forks one child for each candidate: nothing of the project is imported before the fork.

Every child starts from the same state, so nothing leaks from one candidate to the next, and one that hangs, floods, exits or eats
memory ends alone.
"""

import contextlib
import gc
import importlib.machinery
import json
import os
import resource
import select
import signal
import time
from types import CodeType
from typing import Any

from .common import Checkout

__all__ = ["Zygote", "warm"]

_MEMORY_BYTES = 1 << 30
_FILE_BYTES = 64 << 20
_CODE: dict[tuple[str, bytes], CodeType] = {}


def warm(checkout: Checkout, modules: list[str], files: list[str]) -> None:
    """Import what is not the project's and compile what is, once for all children.

    Compiled code is looked up by the file's whole content, never by size and time: an edit of the same length within the same
    second would otherwise get the byte code of the candidate before it, a false result.
    """
    original = importlib.machinery.SourceFileLoader.get_code

    def get_code(self: Any, fullname: str) -> Any:
        path = self.get_filename(fullname)
        if not checkout.relative(path):
            return original(self, fullname)
        data = self.get_data(path)
        found = _CODE.get((path, data))
        return found if found is not None else self.source_to_code(data, path)

    importlib.machinery.SourceFileLoader.get_code = get_code  # type: ignore[method-assign]
    for name in modules:
        with contextlib.suppress(BaseException):  # what cannot be imported by itself the project imports, or not
            __import__(name)
    for file in files:
        path = os.path.join(os.getcwd(), file)
        try:
            with open(path, "rb") as stream:
                data = stream.read()
            _CODE[path, data] = compile(data, path, "exec", dont_inherit=True)
        except (OSError, SyntaxError, ValueError):
            pass


class Zygote:
    """`cpu_s` and `wall_s` bound each child; `used_s` is the CPU time that the last one took."""

    def __init__(self) -> None:
        self.cpu_s = 10.0
        self.wall_s = 20.0
        self.used_s = 0.0
        self._writing: int | None = None

    @property
    def is_child(self) -> bool:
        return self._writing is not None

    def fork(self) -> dict[str, Any] | None:
        """In the parent, when the child has ended: its record, or `None` when it left none, whatever its exit status: an
        `os._exit(0)` is not a success. In the child it returns at once, with `is_child` set."""
        # What is there now never becomes garbage in a child: pytest collects garbage at its end, which took a third of the time.
        gc.freeze()
        reading, writing = os.pipe()
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            self._writing = writing
            self._confine()
            return None
        os.close(writing)
        try:
            data = _read(reading, time.monotonic() + self.wall_s)
        finally:
            os.close(reading)
            _kill_group(pid)
            os.waitpid(pid, 0)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.used_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        if not data.endswith(b"\n"):
            return None
        try:
            record = json.loads(data)
        except ValueError:
            return None
        return record if isinstance(record, dict) else None

    def leave(self, record: dict[str, Any]) -> None:
        """The end of a child; threads that never end and handlers at exit are not waited for."""
        assert self._writing is not None
        os.write(self._writing, json.dumps(record).encode() + b"\n")
        os._exit(0)

    def _confine(self) -> None:
        os.setsid()
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        # CPU time, not wall time: a machine that is busy elsewhere must not turn a good candidate into a hung one.
        signal.setitimer(signal.ITIMER_PROF, self.cpu_s)
        resource.setrlimit(resource.RLIMIT_AS, (_memory_now() + _MEMORY_BYTES,) * 2)
        resource.setrlimit(resource.RLIMIT_FSIZE, (_FILE_BYTES,) * 2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _memory_now() -> int:
    with open("/proc/self/statm", "rb") as stream:
        return int(stream.read().split()[0]) * resource.getpagesize()


def _read(fd: int, deadline_s: float) -> bytes:
    data = b""
    while not data.endswith(b"\n") and len(data) < 1 << 20:
        ready, _, _ = select.select([fd], [], [], max(0.0, deadline_s - time.monotonic()))
        chunk = os.read(fd, 1 << 16) if ready else b""
        if not chunk:
            break
        data += chunk
    return data


def _kill_group(pid: int) -> None:
    """The child made itself the leader of a group; killed before it got that far, it is killed alone."""
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            kill(pid, signal.SIGKILL)
