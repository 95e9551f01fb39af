"""Walks a candidate and says what lies there, by `lstat` and hash; nothing that stands in it is believed or executed.

Times and inode numbers are not looked at: a candidate can forge the one and reuse the other, and hashing is cheap.
"""

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from loopwright.errors import WorkspaceError
from loopwright.workspace.base import Base
from loopwright.workspace.beneath import open_folder, read_regular

__all__ = [
    "MAX_DEPTH",
    "Found",
    "Listed",
    "content",
    "described",
    "everything",
    "folders_below",
    "is_cache",
    "names_in",
    "on_disk",
    "same_as_base",
    "shown",
    "unignored",
]

MAX_DEPTH = 200
"""Folders below folders. Real trees stay below 30; a deeper one is an attack on whoever walks it."""

_CACHE_NAMES = frozenset({"__pycache__", ".pytest_cache", ".hypothesis", ".mypy_cache", ".ruff_cache", ".coverage"})

Kind = Literal["100644", "100755", "120000", "folder", "special"]


@dataclass(frozen=True, slots=True)
class Found:
    """`kind` is git's mode for a file or link. `size_bytes` is 0 for folders and special files."""

    path: str
    kind: Kind
    size_bytes: int

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


Listed = Callable[[Iterable[str]], Iterator[Found]]
"""What lies directly in these folders, by folder and name."""


def is_cache(path: str) -> bool:
    """Whether a path is what tools leave behind when they run (bytecode, test caches), wherever it lies."""
    names = path.split("/")
    return names[-1].endswith((".pyc", ".pyo")) or not _CACHE_NAMES.isdisjoint(names)


def everything(listed: Listed) -> Iterator[Found]:
    """All there is, folders before what is in them. Raises: `WorkspaceError` past `MAX_DEPTH`."""
    queue = [""]
    while queue:
        items = list(listed(queue))
        yield from items
        queue = [item.path for item in items if item.kind == "folder"]


def unignored(listed: Listed, base: Base, ignored: Callable[[Sequence[str]], frozenset[str]]) -> Iterator[Found]:
    """The files and links that count: of the base, or new and neither ignored by the base nor a cache that tools leave.

    Raises: `WorkspaceError` for a nested `.git`, for a FIFO, socket or device, and for a submodule that something was put into.
    """
    queue = [""]
    while queue:
        kept: list[Found] = []
        fresh: list[Found] = []
        for item in listed(queue):
            if item.path in base.submodules:
                _refuse_filled(listed, item)
            elif item.path in base.folders or item.path in base.entries:
                kept.append(item)
            elif not _is_cache(item.path):
                fresh.append(item)
        for item in fresh:
            if item.name.casefold() == ".git":
                raise WorkspaceError(
                    f"candidate holds {shown(item.path)!r}, a git repository of its own; expected plain files: remove it"
                )
        hidden = ignored([_asked(item) for item in fresh])
        kept += [item for item in fresh if _asked(item) not in hidden]
        for item in kept:
            if item.kind == "special":
                raise WorkspaceError(
                    f"candidate holds {shown(item.path)!r}, a FIFO, socket or device; expected files and links: remove it"
                )
            if item.kind != "folder":
                yield item
        queue = [item.path for item in kept if item.kind == "folder"]


def same_as_base(root: Path, found: Found, base: Base) -> bool:
    """Whether mode and content are those of the base."""
    entry = base.entries.get(found.path)
    if entry is None or entry.mode != found.kind or entry.size_bytes != found.size_bytes:
        return False
    return hashlib.sha256(content(root, found)).hexdigest() == entry.sha256


def content(root: Path, found: Found) -> bytes:
    """The bytes of a file, or the target of a link."""
    folder_path, _, name = found.path.rpartition("/")
    with open_folder(root, folder_path) as folder:
        if folder is None:
            raise WorkspaceError(
                f"{shown(found.path)!r} is gone from the candidate; nothing may run in it while it is read"
            )
        if found.kind == "120000":
            return os.readlink(os.fsencode(name), dir_fd=folder)
        return read_regular(name, folder)


def shown(path: str) -> str:
    """`path` for a message: odd bytes as escapes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def folders_below(root: Path, folders: Iterable[str]) -> Iterator[tuple[str, int]]:
    """The open folders of `root` that there are, each reached without a link. Raises: `WorkspaceError` past `MAX_DEPTH`."""
    for path in folders:
        if path.count("/") >= MAX_DEPTH:
            raise WorkspaceError(
                f"candidate nests folders more than {MAX_DEPTH} deep below {shown(path)[:60]!r}; expected an ordinary tree"
            )
        with open_folder(root, path) as folder:
            if folder is not None:
                yield path, folder


def on_disk(root: Path) -> Listed:
    """Lists what lies below `root`."""

    def listed(folders: Iterable[str]) -> Iterator[Found]:
        for path, folder in folders_below(root, folders):
            for name in names_in(folder):
                yield described(f"{path}/{name}" if path else name, os.lstat(name, dir_fd=folder))

    return listed


def names_in(folder: int) -> list[str]:
    """The names in an open folder, in order."""
    with os.scandir(folder) as items:
        return sorted(item.name for item in items)


def described(path: str, status: os.stat_result) -> Found:
    """What `lstat` said, as a value."""
    if stat.S_ISREG(status.st_mode):
        return Found(path, "100755" if status.st_mode & 0o100 else "100644", status.st_size)
    if stat.S_ISLNK(status.st_mode):
        return Found(path, "120000", status.st_size)
    return Found(path, "folder" if stat.S_ISDIR(status.st_mode) else "special", 0)


def _is_cache(path: str) -> bool:
    name = path.rpartition("/")[2]
    return name in _CACHE_NAMES or name.endswith((".pyc", ".pyo")) or name.startswith(".coverage.")


def _asked(item: Found) -> str:
    return f"{item.path}/" if item.kind == "folder" else item.path


def _refuse_filled(listed: Listed, item: Found) -> None:
    if item.kind != "folder" or next(listed([item.path]), None) is not None:
        raise WorkspaceError(
            f"candidate wrote into {shown(item.path)!r}, which is a submodule; expected it untouched: submodules cannot be changed here"
        )
