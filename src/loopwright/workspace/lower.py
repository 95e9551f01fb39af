"""The read-only layer below overlays: the files of a tree as the one inside must find them when they are copied up to be changed.

From inside nothing can write to it: an overlay opens it for reading alone. What may have been done to it from outside is noticed by
what `lstat` says of everything in it; the change time cannot be set back, so a full hash of every file would add little but time.
"""

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from loopwright.workspace.base import Base, ensure
from loopwright.workspace.git import Git

__all__ = ["ensure_lower"]

_STAMP = "stamp"


def ensure_lower(cache: Path, tree: str, git: Git, uid: int) -> Base:
    """The layer of `tree` for commands that run as `uid`, made if it is not there; looked over once by every process.

    Raises: `WorkspaceError` when git cannot write the tree out.
    """

    def seal(place: Path) -> None:
        _give(place, uid)
        (place / _STAMP).write_text(_stamp(place / "files"), "ascii")

    def is_sound(place: Path) -> bool:
        return (place / _STAMP).read_text("ascii") == _stamp(place / "files")

    return ensure(cache, tree, git, name=f"{tree}.{uid}", seal=seal, is_sound=is_sound)


def _give(place: Path, uid: int) -> None:
    """A copy-up keeps owner and mode: a read-only file could not be edited inside, nor one of somebody else.

    `place` itself stays ours and 0700: outside of a sandbox nobody gets to the files, and whoever leaves one finds no way either.
    """
    foreign = uid != os.getuid()
    for path, status in _everything(place / "files"):
        if foreign:
            # With the group too: one that the user namespace does not know makes the copy-up fail.
            os.chown(path, uid, uid, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            os.chmod(path, 0o755)  # noqa: S103
        elif stat.S_ISREG(status.st_mode):
            os.chmod(path, 0o755 if status.st_mode & 0o100 else 0o644)


def _stamp(files: Path) -> str:
    digest = hashlib.sha256()
    for path, s in _everything(files):
        line = f"{s.st_ino} {s.st_mode} {s.st_uid} {s.st_size} {s.st_mtime_ns} {s.st_ctime_ns}"
        digest.update(os.fsencode(path)[len(os.fsencode(files)) :] + b"\0" + line.encode() + b"\0")
    return digest.hexdigest()


def _everything(files: Path) -> Iterator[tuple[str, os.stat_result]]:
    """`files` and all below it, in the same order every time."""
    yield str(files), os.lstat(files)
    waiting = [str(files)]
    while waiting:
        with os.scandir(waiting.pop()) as items:
            found = sorted(items, key=lambda item: item.name)
        for item in found:
            status = item.stat(follow_symlinks=False)
            yield item.path, status
            if item.is_dir(follow_symlinks=False):
                waiting.append(item.path)
