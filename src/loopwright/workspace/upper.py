"""The upper layer of an overlay that is not mounted: what the base and it show together, read and written from this side.

What overlayfs writes there: a file that was changed, complete; a folder with what was changed in it; a character device 0:0 for what
was deleted; a folder marked opaque where nothing of the base shows through. Every step goes by descriptor and follows no link, for
the one inside could put anything there. What this side deletes it marks with the same device; it never marks a folder opaque, for
which mark counts depends on who mounts.
"""

import contextlib
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from loopwright.errors import WorkspaceError
from loopwright.sandbox.remove import remove_tree
from loopwright.workspace import survey
from loopwright.workspace.base import Base
from loopwright.workspace.beneath import enter_folder, make_file, open_folder, read_bounded

__all__ = ["Upper"]

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MARKS = ("trusted.overlay.", "user.overlay.")
"""Where overlayfs keeps its notes: the first when root mounted it, the second when an ordinary user did."""

Kind = Literal["deleted", "folder", "other"]


@dataclass(frozen=True, slots=True)
class _Spot:
    """A folder of the merged tree: `fd` is it in the upper layer, `None` when nothing was changed in it; `base`: the base's shows."""

    path: str
    fd: int | None
    base: bool

    def below(self, name: str) -> str:
        return f"{self.path}/{name}" if self.path else name


class Upper:
    """Implements `candidate.Files`. `owner` is who the command inside is on this machine, `None` when it is us."""

    def __init__(self, root: Path, base: Base, owner: int | None) -> None:
        self._root = root
        self._base = base
        self._owner = owner

    @property
    def root(self) -> Path:
        return self._root

    def look(self) -> "_Look":
        return _Look(self._root, self._base)

    def read(self, path: str, limit_bytes: int) -> bytes | None:
        *folders, name = path.split("/")
        with self._spot(path, folders) as spot:
            if spot is None:
                return None
            kind = _kind(spot.fd, name)
            if kind is not None:
                assert spot.fd is not None
                if kind == "other":
                    _refuse_notes(spot.fd, name, path)
                return None if kind == "deleted" else read_bounded(name, spot.fd, limit_bytes)
            if not spot.base:
                return None
            with open_folder(self._base.files, spot.path) as folder:
                return None if folder is None else read_bounded(name, folder, limit_bytes)

    def write(self, path: str, mode: str, content: bytes, *, clear_way: bool = False) -> None:
        *folders, name = path.split("/")
        with self._spot(path, folders, make=True, clear_way=clear_way) as spot:
            assert spot is not None
            assert spot.fd is not None
            self._clear(spot, name)
            make_file(spot.fd, name, mode, content, self._owner)

    def delete(self, path: str) -> None:
        *folders, name = path.split("/")
        with self._spot(path, folders) as spot:
            if spot is None:
                return
            there = self._is_there(spot, name)
        if there:
            self._hide(path, folders, name)
        for depth in range(len(folders), 0, -1):
            if not self._is_empty(folders[:depth]):
                return
            self._hide(path, folders[: depth - 1], folders[depth - 1])

    def _hide(self, path: str, folders: Sequence[str], name: str) -> None:
        """Take away what is there, and what of the base would show then."""
        with self._spot(path, folders) as spot:
            if spot is None:
                return
            needed = spot.base and name in self._base.children.get(spot.path, ())
            if not needed:
                self._clear(spot, name)
                return
        with self._spot(path, folders, make=True) as spot:
            assert spot is not None
            assert spot.fd is not None
            self._clear(spot, name)
            self._mark_deleted(spot.fd, name)

    def _mark_deleted(self, folder: int, name: str) -> None:
        os.mknod(name, stat.S_IFCHR, 0, dir_fd=folder)
        self._give(folder, name)

    def _clear(self, spot: _Spot, name: str) -> None:
        """Nothing of that name in the upper layer."""
        kind = _kind(spot.fd, name)
        if kind is None:
            return
        if kind != "folder":
            os.unlink(name, dir_fd=spot.fd)
        elif not remove_tree(self._root / spot.below(name)):
            raise WorkspaceError(
                f"folder {spot.below(name)!r} in {str(self._root)!r} cannot be removed; expected to: look at its owner"
            )

    def _is_there(self, spot: _Spot, name: str) -> bool:
        kind = _kind(spot.fd, name)
        if kind is not None:
            return kind != "deleted"
        return spot.base and name in self._base.children.get(spot.path, ())

    def _is_empty(self, folders: Sequence[str]) -> bool:
        """Whether a folder is there, with nothing in it."""
        with self._spot("/".join(folders), folders) as spot:
            if spot is None:
                return False
            names = set() if spot.fd is None else set(survey.names_in(spot.fd))
            shows = self._base.children.get(spot.path, frozenset()) if spot.base else frozenset()
            return shows <= names and all(_kind(spot.fd, name) == "deleted" for name in names)

    @contextlib.contextmanager
    def _spot(
        self, path: str, folders: Sequence[str], *, make: bool = False, clear_way: bool = False
    ) -> Iterator[_Spot | None]:
        """The folder that holds `path`; `None` when it is not there or behind a link. `make`: it is then, in the upper layer too."""
        spot = _Spot("", os.open(self._root, _FOLDER), base=True)
        try:
            for name in folders:
                below = self._enter(spot, path, name, make=make, clear_way=clear_way)
                if below is None:
                    yield None
                    return
                if spot.fd is not None:
                    os.close(spot.fd)
                spot = below
            yield spot
        finally:
            if spot.fd is not None:
                os.close(spot.fd)

    def _enter(self, spot: _Spot, path: str, name: str, *, make: bool, clear_way: bool) -> _Spot | None:
        at = spot.below(name)
        kind = _kind(spot.fd, name)
        in_base = spot.base and self._base.is_folder(at)
        if kind == "folder":
            assert spot.fd is not None
            fd = enter_folder(spot.fd, name)
            return _Spot(at, fd, in_base and not _is_opaque(fd, at))
        if kind is None and in_base and not make:
            return _Spot(at, None, base=True)
        if not make:
            return None
        assert spot.fd is not None
        blocked = kind == "other" or (kind is None and spot.base and at in self._base.entries)
        if blocked and not clear_way:
            raise WorkspaceError(
                f"path {path!r} goes through {name!r}, which is a link or a file; expected a folder: delete it in the same changes"
            )
        if kind is not None:
            os.unlink(name, dir_fd=spot.fd)
        os.mkdir(name, 0o755, dir_fd=spot.fd)
        self._give(spot.fd, name)
        fd = enter_folder(spot.fd, name)
        if kind is not None and in_base:
            # It was hidden and must stay so; the new folder would let it show again.
            for child in self._base.children.get(at, ()):
                self._mark_deleted(fd, child)
        return _Spot(at, fd, in_base)

    def _give(self, folder: int, name: str) -> None:
        if self._owner is not None:
            os.chown(name, self._owner, self._owner, dir_fd=folder, follow_symlinks=False)


class _Look:
    """One walk. `_hidden` are paths of the base that do not show, with all below them; `_merged` are folders that do."""

    def __init__(self, root: Path, base: Base) -> None:
        self._root = root
        self._base = base
        self._merged = {""}
        self._hidden: list[str] = []

    def listed(self, folders: Iterable[str]) -> Iterator[survey.Found]:
        for path, folder in survey.folders_below(self._root, folders):
            shows = path in self._merged
            for name in survey.names_in(folder):
                at = f"{path}/{name}" if path else name
                status = os.lstat(name, dir_fd=folder)
                found = survey.described(at, status)
                deleted = _is_deleted_mark(status)
                if shows:
                    self._cover(at, folder, name, is_folder=found.kind == "folder", deleted=deleted)
                if not deleted:
                    if found.kind not in ("folder", "special"):
                        _refuse_notes(folder, name, at)
                    yield found

    def gone(self, seen: frozenset[str]) -> Iterable[str]:
        return sorted({path for top in self._hidden for path in self._base.below(top)} - seen)

    def _cover(self, at: str, folder: int, name: str, *, is_folder: bool, deleted: bool) -> None:
        """What the entry `at` of the upper layer does to the base's of that name."""
        base_folder = self._base.is_folder(at)
        if is_folder and base_folder:
            fd = enter_folder(folder, name)
            try:
                opaque = _is_opaque(fd, at)
            finally:
                os.close(fd)
            if not opaque:
                self._merged.add(at)
                return
        if base_folder or (at in self._base.entries and (is_folder or deleted)):
            self._hidden.append(at)


def _kind(folder: int | None, name: str) -> Kind | None:
    if folder is None:
        return None
    try:
        status = os.lstat(name, dir_fd=folder)
    except FileNotFoundError:
        return None
    if _is_deleted_mark(status):
        return "deleted"
    return "folder" if stat.S_ISDIR(status.st_mode) else "other"


def _is_deleted_mark(status: os.stat_result) -> bool:
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def _is_opaque(folder: int, path: str) -> bool:
    """Raises: `WorkspaceError` for a folder that stands for another one: a mount with `redirect_dir` was not asked for."""
    names = os.listxattr(folder)
    if any(f"{mark}redirect" in names for mark in _MARKS):
        raise WorkspaceError(
            f"folder {survey.shown(path)!r} of a candidate was moved with a redirect; expected an overlay mounted with redirect_dir=off"
        )
    # Whoever plants the wrong one of the two hides files from this side that he could as well have deleted.
    return any(f"{mark}opaque" in names for mark in _MARKS)


def _refuse_notes(folder: int, name: str, path: str) -> None:
    """Raises: `WorkspaceError` for a file that has only its changed mode here and its content in the base.

    Only a mount by root can make one, and only root reads that note.
    """
    with contextlib.suppress(OSError):
        os.getxattr(f"/proc/self/fd/{folder}/{name}", f"{_MARKS[0]}metacopy", follow_symlinks=False)
        raise WorkspaceError(
            f"file {survey.shown(path)!r} of a candidate lacks its content; expected an overlay mounted with metacopy=off"
        )
