"""Sandboxes that wait for the next command with the same view, so that it need not pay for a start."""

import os
import socket
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from loopwright.sandbox.launch import Lifeline
from loopwright.sandbox.mounts import View

__all__ = ["Pool", "Warm"]

_FEW = 2000
"""With more changed files than this a look at them would cost more than a new start."""


@dataclass(slots=True, eq=False)
class Warm:
    """A running sandbox: `server` leads to its first process. `layers` is what the upper layers held when the last command ended."""

    view: View
    lifeline: Lifeline
    server: socket.socket
    layers: object = None

    def end(self) -> None:
        self.lifeline.end_now()
        self.server.close()


class Pool:
    """At most `idle_limit` wait, the longest unused goes first; 0 = every command gets a sandbox of its own.

    A mounted overlay does not notice what is changed below it, and the runtime edits candidates between commands; so one is used
    again only when nothing was.
    """

    def __init__(self, idle_limit: int) -> None:
        self._idle_limit = idle_limit
        self._idle: list[Warm] = []
        self._guard = threading.Lock()

    def take(self, view: View, start: Callable[[], Warm]) -> Warm:
        """One that waits, else a new one. Raises: what `start` raises."""
        with self._guard:
            gone = [warm for warm in self._idle if not _is_fresh(warm)]
            # One mount per upper layer at a time; a second one succeeds silently and then loses writes.
            gone += [
                warm
                for warm in self._idle
                if warm not in gone and warm.view.key != view.key and set(warm.view.uppers) & set(view.uppers)
            ]
            found = next((warm for warm in self._idle if warm not in gone and warm.view.key == view.key), None)
            self._idle = [warm for warm in self._idle if warm is not found and warm not in gone]
        _end_all(gone)
        return found or start()

    def give_back(self, warm: Warm) -> bool:
        """Whether it was kept; if not, the caller ends it."""
        warm.layers = _layers(warm.view)
        if self._idle_limit == 0 or warm.layers is None:
            return False
        with self._guard:
            self._idle.append(warm)
            over = len(self._idle) - self._idle_limit
            old, self._idle = self._idle[: max(over, 0)], self._idle[max(over, 0) :]
        _end_all(old)
        return True

    def release(self, folder: Path) -> None:
        """End those that have something below `folder` mounted."""
        with self._guard:
            old = [w for w in self._idle if any(Path(m.source).is_relative_to(folder) for m in w.view.mounts)]
            self._idle = [warm for warm in self._idle if warm not in old]
        _end_all(old)

    def close(self) -> None:
        with self._guard:
            old, self._idle = self._idle, []
        _end_all(old)


def _end_all(several: Iterable[Warm]) -> None:
    several = list(several)
    for warm in several:
        warm.lifeline.kill()
    for warm in several:
        warm.end()


def _is_fresh(warm: Warm) -> bool:
    if warm.lifeline.ended() is not None:
        return False
    if not all(os.path.exists(mount.source) for mount in warm.view.mounts):
        return False
    return not warm.view.uppers or warm.layers == _layers(warm.view)


def _layers(view: View) -> object:
    """Everything in the upper layers with what changes when it does, `None` when that is too much to look at."""
    found: list[tuple[object, ...]] = []
    waiting = list(view.uppers)
    while waiting:
        folder = waiting.pop()
        try:
            info = os.lstat(folder)
            found.append((folder, info.st_ino, info.st_mode, info.st_uid, info.st_ctime_ns))
            with os.scandir(folder) as entries:
                for entry in entries:
                    info = entry.stat(follow_symlinks=False)
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    else:
                        found.append(
                            (entry.path, info.st_ino, info.st_mode, info.st_size, info.st_ctime_ns, info.st_rdev)
                        )
        except OSError:
            return None
        if len(found) > _FEW:
            return None
    return sorted(found, key=lambda each: str(each[0]))
