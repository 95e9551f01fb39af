"""Writes and deletes below a folder that a stranger may have filled with links, without ever leaving it.

Every step goes from the descriptor of one folder to the next with `O_NOFOLLOW`, so there is no moment between a check and its use.
"""

import contextlib
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from loopwright.errors import WorkspaceError
from loopwright.sandbox.remove import remove_tree

__all__ = ["delete", "enter_folder", "make_file", "open_folder", "read_bounded", "read_regular", "write"]

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def write(root: Path, path: str, mode: str, content: bytes, *, clear_way: bool = False) -> None:
    """Make `path` a file (100644, 100755) or a link (120000) with `content`; folders are made, what stands there is replaced.

    `clear_way` also replaces a link or file that stands where a folder is needed. Otherwise: raises `WorkspaceError`.
    """
    *folders, name = path.split("/")
    with _parent(root, path, folders, make=True, clear_way=clear_way) as folder:
        assert folder is not None
        _clear(root, path, name, folder)
        make_file(folder, name, mode, content)


def make_file(folder: int, name: str, mode: str, content: bytes, owner: int | None = None) -> None:
    """A file or link in an open folder that has none of that name; `owner` gets it, `None` = it is ours."""
    if mode == "120000":
        os.symlink(content, os.fsencode(name), dir_fd=folder)
        if owner is not None:
            os.chown(name, owner, owner, dir_fd=folder, follow_symlinks=False)
        return
    # A new file, never the old one rewritten: that one may be a hard link to something outside.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(name, flags, 0o600, dir_fd=folder)
    with open(fd, "wb") as file:
        file.write(content)
        if owner is not None:
            os.fchown(fd, owner, owner)
        os.fchmod(fd, 0o755 if mode == "100755" else 0o644)


def delete(root: Path, path: str) -> None:
    """Make `path` not exist, and the folders that are empty then. What is not there, or only behind a link, is left as it is."""
    *folders, name = path.split("/")
    with _parent(root, path, folders, make=False, clear_way=False) as folder:
        if folder is None:
            return
        _clear(root, path, name, folder)
    for depth in range(len(folders), 0, -1):
        with _parent(root, path, folders[: depth - 1], make=False, clear_way=False) as above:
            if above is None:
                return
            try:
                os.rmdir(folders[depth - 1], dir_fd=above)
            except OSError:
                return


def read_regular(name: str, folder: int) -> bytes:
    """The content of a regular file in an open folder; neither a link nor a FIFO put in its place can mislead or block it."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        fd = os.open(name, flags, dir_fd=folder)
    except PermissionError:
        os.chmod(name, 0o600, dir_fd=folder)
        fd = os.open(name, flags, dir_fd=folder)
    with open(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise WorkspaceError(
                f"{name!r} stopped being a regular file while it was read; nothing may run in a candidate now"
            )
        return file.read()


def read_bounded(name: str, folder: int, limit_bytes: int) -> bytes | None:
    """A regular file of an open folder with at most `limit_bytes`; `None` when there is none.

    Raises: `WorkspaceError` for a link, a pipe, a folder, and for more bytes.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        fd = os.open(name, flags, dir_fd=folder)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise WorkspaceError(f"{name!r} cannot be read: {error.strerror}; expected a regular file") from error
    with _regular(fd, name) as file:
        data = file.read(limit_bytes + 1)
    if len(data) > limit_bytes:
        raise WorkspaceError(f"{name!r} has more than {limit_bytes} bytes; expected fewer")
    return data


def _regular(fd: int, name: str) -> IO[bytes]:
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return open(fd, "rb")
    os.close(fd)  # Python would refuse a folder with another error and leave it open
    raise WorkspaceError(f"{name!r} is not a regular file; expected one")


@contextlib.contextmanager
def open_folder(root: Path, path: str) -> Iterator[int | None]:
    """The descriptor of a folder below `root` (`""` = `root` itself), reached without a link; `None` when there is none."""
    with _parent(root, path, path.split("/") if path else [], make=False, clear_way=False) as folder:
        yield folder


@contextlib.contextmanager
def _parent(root: Path, path: str, folders: Sequence[str], *, make: bool, clear_way: bool) -> Iterator[int | None]:
    """The open folder that holds `path`; `None` when it does not exist and is not to be made."""
    fd = os.open(root, _FOLDER)
    try:
        for name in folders:
            below = _enter(root, path, name, fd, make=make, clear_way=clear_way)
            if below is None:
                yield None
                return
            os.close(fd)
            fd = below
        yield fd
    finally:
        os.close(fd)


def enter_folder(folder: int, name: str) -> int:
    """The descriptor of a folder in an open folder, also of one that was left without permissions. Raises: `OSError`."""
    try:
        return os.open(name, _FOLDER, dir_fd=folder)
    except PermissionError:
        os.chmod(name, 0o700, dir_fd=folder)
        return os.open(name, _FOLDER, dir_fd=folder)


def _enter(root: Path, path: str, name: str, folder: int, *, make: bool, clear_way: bool) -> int | None:
    try:
        return enter_folder(folder, name)
    except FileNotFoundError:
        if not make:
            return None
    except OSError as error:
        if not make:
            return None
        if not clear_way:
            raise WorkspaceError(
                f"path {path!r} goes through {name!r}, which is a link or a file; expected a folder: delete it in the same changes"
            ) from error
        os.unlink(name, dir_fd=folder)
    os.mkdir(name, 0o755, dir_fd=folder)
    return os.open(name, _FOLDER, dir_fd=folder)


def _clear(root: Path, path: str, name: str, folder: int) -> None:
    try:
        found = os.lstat(name, dir_fd=folder)
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(found.st_mode):
        os.unlink(name, dir_fd=folder)
    elif not remove_tree(root / path):
        raise WorkspaceError(
            f"folder {path!r} in {str(root)!r} cannot be removed; expected to put a file there: look at its owner"
        )
