"""Gives folders to the user that a sandboxed command runs as, where that is not us; never through a link."""

import os
from collections.abc import Iterable
from pathlib import Path

from loopwright.errors import SandboxError

__all__ = ["hand_over"]


def hand_over(folders: Iterable[Path], uid: int) -> None:
    """Make `uid` (and the group of that number) the owner of everything below `folders`. Nothing to do when that is us.

    Raises: `SandboxError` when we may not.
    """
    if uid == os.getuid():
        return
    for folder in folders:
        try:
            _give(folder, uid)
            for place, folders_below, files in os.walk(folder):
                for name in (*folders_below, *files):
                    _give(Path(place, name), uid)
        except OSError as error:
            raise SandboxError(
                f"folder {str(folder)!r} cannot be given to user {uid}: {error}; expected a file system that knows owners"
            ) from error


def _give(path: Path, uid: int) -> None:
    info = os.lstat(path)
    if (info.st_uid, info.st_gid) != (uid, uid):
        os.chown(path, uid, uid, follow_symlinks=False)
