"""How much memory and disk a sandbox uses, seen from outside, where no control group can be had. Nothing inside can hide from it:
who leaves its parent becomes a child of the sandbox's first process.
"""

import os
import stat
from collections.abc import Iterable

__all__ = ["memory_bytes", "written_bytes"]

_PAGE_BYTES = os.sysconf("SC_PAGESIZE")


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
