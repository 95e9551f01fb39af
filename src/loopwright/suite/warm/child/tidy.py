"""The files between two candidates: each finds those of the head, and nothing that the one before it left behind."""

import base64
import contextlib
import os
import shutil
import stat
from typing import Any

__all__ = ["Files", "Refused"]

_Seen = tuple[int, int, int, int]


class Refused(Exception):
    """The changes cannot be put there from here; the message says why."""


class Files:
    """The checkout (the working directory), the home and the temporary folder.

    Without isolation a home or temporary folder that is not empty at the start is the user's own and none of our business.
    """

    def __init__(self, isolated: bool) -> None:
        self._checkout = os.getcwd()
        others = [os.environ.get("HOME", ""), os.environ.get("TMPDIR", ""), *(["/tmp"] if isolated else [])]  # noqa: S108
        roots = [os.path.realpath(path) for path in others if os.path.isabs(path) and os.path.isdir(path)]
        empty = [path for path in dict.fromkeys(roots) if path != "/" and (isolated or not os.listdir(path))]
        self._roots = [
            self._checkout,
            *(p for p in empty if not (self._checkout + "/").startswith(p.rstrip("/") + "/")),
        ]
        self._seen: dict[str, _Seen] = {}
        self._folders: set[str] = set()
        self._before: list[tuple[str, bytes | None, int]] = []

    def remember(self) -> None:
        """What is there now is what every candidate finds."""
        self._seen, self._folders = self._look()

    def put(self, changes: list[dict[str, Any]]) -> None:
        """Raises: `Refused`; nothing is changed then."""
        for change in changes:
            self._check(change)
        for change in sorted(changes, key=lambda c: c["data"] is not None):
            file = os.path.join(self._checkout, change["path"])
            self._before.append((file, *_content(file)))
            if change["data"] is None:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(file)
            else:
                os.makedirs(os.path.dirname(file), exist_ok=True)
                _write(file, base64.b64decode(change["data"]), 0o755 if change["executable"] else 0o644)

    def back(self) -> str | None:
        """Put everything back; what could not be (a file of the head that was changed by the tests), `None` when all is as it was."""
        for file, data, mode in reversed(self._before):
            if data is None:
                with contextlib.suppress(OSError):
                    os.unlink(file)
            else:
                with contextlib.suppress(OSError):
                    os.makedirs(os.path.dirname(file), exist_ok=True)
                    _write(file, data, mode)
                    self._seen[file] = _stat(file)
        self._before = []
        now, folders = self._look()
        for file in now.keys() - self._seen.keys():
            with contextlib.suppress(OSError):
                os.unlink(file)
        for folder in sorted(folders - self._folders, reverse=True):
            shutil.rmtree(folder, ignore_errors=True)
        for file, seen in self._seen.items():
            if now.get(file) != seen:
                return os.path.relpath(file, self._checkout)
        gone = self._folders - folders
        return os.path.relpath(min(gone), self._checkout) if gone else None

    def _check(self, change: dict[str, Any]) -> None:
        path: str = change["path"]
        parts = path.split("/")
        if change["link"]:
            raise Refused(f"{path!r} is a link")
        if path.startswith("/") or {"", ".", "..", ".git"} & set(parts):
            raise Refused(f"{path!r} is not a path of the checkout")
        here = self._checkout
        for part in parts:
            here = os.path.join(here, part)
            if os.path.islink(here):
                raise Refused(f"{path!r} goes through a link")
        if os.path.isdir(here):
            raise Refused(f"{path!r} is a folder")
        above = os.path.dirname(here)
        while not os.path.lexists(above):
            above = os.path.dirname(above)
        if not os.path.isdir(above):
            raise Refused(f"{path!r} lies below a file")

    def _look(self) -> tuple[dict[str, _Seen], set[str]]:
        seen: dict[str, _Seen] = {}
        folders: set[str] = set()
        waiting = list(self._roots)
        while waiting:
            try:
                entries = list(os.scandir(waiting.pop()))
            except OSError:
                continue
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.add(entry.path)
                    waiting.append(entry.path)
                else:
                    with contextlib.suppress(OSError):
                        seen[entry.path] = _of(entry.stat(follow_symlinks=False))
        return seen, folders


def _of(found: os.stat_result) -> _Seen:
    return (found.st_mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _stat(file: str) -> _Seen:
    return _of(os.lstat(file))


def _content(file: str) -> tuple[bytes | None, int]:
    try:
        with open(file, "rb") as stream:
            return stream.read(), stat.S_IMODE(os.fstat(stream.fileno()).st_mode)
    except FileNotFoundError:
        return None, 0


def _write(file: str, data: bytes, mode: int) -> None:
    with open(file, "wb") as stream:
        stream.write(data)
    if stat.S_IMODE(os.lstat(file).st_mode) != mode:
        os.chmod(file, mode)
