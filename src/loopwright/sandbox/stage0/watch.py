"""How much memory and disk a sandbox uses, seen from outside, where no control group can be had. Nothing inside can hide from it:
who leaves its parent becomes a child of the sandbox's first process.
"""

import os
import stat
import time
from collections.abc import Iterable

__all__ = ["Watch", "memory_bytes", "written_bytes"]

_PAGE_BYTES = os.sysconf("SC_PAGESIZE")
_SCAN_S = 0.03
_SCAN_SHARE = 10
"""A scan is repeated after this many times what it took, at the earliest: watching must not become the load."""


class Watch:
    """One sandbox's use while a command runs in it. `roots` are the folders that it can fill. `next_s` is when to look again on the
    monotonic clock, 0 = not at all."""

    def __init__(self, roots: list[str]) -> None:
        self._roots = roots
        self._memory_limit = 0
        self._disk_limit = 0
        self._since_s = 0.0
        self.next_s = 0.0

    def begin(self, memory_limit: int, disk_limit: int) -> None:
        """Both in bytes, 0 = not watched."""
        self._memory_limit, self._disk_limit = memory_limit, disk_limit
        self._since_s = time.time()
        self.next_s = time.monotonic() + _SCAN_S if memory_limit or disk_limit else 0.0

    def end(self) -> None:
        self.next_s = 0.0

    def over(self, first: int, now_s: float) -> str | None:
        """`memory` or `disk` when there is more than allowed; `first` is the first process inside, 0 = not known yet."""
        if not self.next_s or now_s < self.next_s:
            return None
        if first and self._memory_limit and memory_bytes(first, self._memory_limit) > self._memory_limit:
            return "memory"
        # Counted each time: that the file system has less room says nothing, for somebody else may be making room meanwhile.
        if self._disk_limit and written_bytes(self._roots, self._since_s) > self._disk_limit:
            return "disk"
        self.next_s = now_s + max(_SCAN_S, _SCAN_SHARE * (time.monotonic() - now_s))
        return None


def memory_bytes(first: int, enough: int) -> int:
    """Of process `first` and all below it. Pages that several share are told apart only when their plain sum is more than `enough`."""
    pids = _tree(first)
    total = sum(_resident(pid) for pid in pids)
    if total <= enough:
        return total
    return sum(_proportional(pid) for pid in pids)


def written_bytes(folders: Iterable[str], since_s: float) -> int:
    """What the files below `folders` that changed since then take up."""
    total = 0
    waiting = list(folders)
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    info = entry.stat(follow_symlinks=False)
                    if stat.S_ISDIR(info.st_mode):
                        waiting.append(entry.path)
                    elif info.st_ctime >= since_s:
                        total += info.st_blocks * 512
        except OSError:
            continue
    return total


def _tree(first: int) -> list[int]:
    found: list[int] = []
    waiting = [first]
    seen = {first}
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        try:
            for task in os.listdir(f"/proc/{pid}/task"):
                for child in _read(f"/proc/{pid}/task/{task}/children").split():
                    number = int(child)
                    if number not in seen:
                        seen.add(number)
                        waiting.append(number)
        except OSError:
            continue
    return found


def _resident(pid: int) -> int:
    fields = _read(f"/proc/{pid}/statm").split()
    return int(fields[1]) * _PAGE_BYTES if len(fields) > 1 else 0


def _proportional(pid: int) -> int:
    for line in _read(f"/proc/{pid}/smaps_rollup").splitlines():
        if line.startswith(b"Pss:"):
            return int(line.split()[1]) * 1024
    return _resident(pid)


def _read(path: str) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read()
    except OSError:
        return b""
