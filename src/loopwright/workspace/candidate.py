"""A disposable directory with the files of one tree, and the way back: what was changed in it, as values."""

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, Protocol, Self

from loopwright.errors import WorkspaceError
from loopwright.journal.protocol import BlobStore
from loopwright.kernel.values import Change
from loopwright.sandbox.protocol import Overlay
from loopwright.sandbox.remove import remove_tree
from loopwright.workspace import beneath, survey
from loopwright.workspace.base import Base, ignored
from loopwright.workspace.git import Git
from loopwright.workspace.patterns import matches
from loopwright.workspace.relative import checked_all

__all__ = ["MAX_CHANGED_BYTES", "MAX_CHANGED_FILES", "DiskCandidate", "Files", "Look", "TreeCandidate"]

MAX_CHANGED_FILES = 10_000
MAX_CHANGED_BYTES = 100 << 20


class Look(Protocol):
    """One walk over a candidate. `gone` is asked when all was listed."""

    def listed(self, folders: Iterable[str]) -> Iterator[survey.Found]:
        """What there is directly in these folders; a copy on write lists only what may differ from the base."""
        ...

    def gone(self, seen: frozenset[str]) -> Iterable[str]:
        """The base's entries that are not there any more; `seen` are the files and links that were listed."""
        ...


class Files(Protocol):
    """Where the files of a candidate lie. `root` is the folder that what a `Look` listed is read from. Nothing here follows a link."""

    @property
    def root(self) -> Path: ...

    def look(self) -> Look: ...

    def read(self, path: str, limit_bytes: int) -> bytes | None: ...

    def write(self, path: str, mode: str, content: bytes, *, clear_way: bool = False) -> None:
        """Make `path` a file or link; `clear_way` replaces what stands where a folder is needed. Raises: `WorkspaceError`."""
        ...

    def delete(self, path: str) -> None:
        """Make `path` not exist, and the folders that are empty then."""
        ...


class TreeCandidate:
    """Implements `workspace.protocol.Candidate` over `files`. `home` is the folder of this candidate alone."""

    def __init__(self, home: Path, base: Base, git: Git, files: Files) -> None:
        self._home = home
        self._base = base
        self._git = git
        self._files = files

    @property
    def path(self) -> Path:
        return self._home / "tree"

    @property
    def overlays(self) -> tuple[Overlay, ...]:
        return ()

    def read(self, path: str, limit_bytes: int = 64 << 20) -> bytes | None:
        """A regular file, `None` when there is none. Raises: `WorkspaceError`."""
        checked_all([path])
        with _named(path):
            return self._files.read(path, limit_bytes)

    def write(self, path: str, data: bytes, mode: Literal["100644", "100755"] = "100644") -> None:
        """Put a file there. Raises: `WorkspaceError` as `apply`."""
        checked_all([path])
        with _named(path):
            self._files.write(path, mode, data)

    def remove(self, path: str) -> None:
        """Take a file away if it is there. Raises: `WorkspaceError` as `apply`."""
        checked_all([path])
        with _named(path):
            self._files.delete(path)

    def apply(self, changes: Sequence[Change], blobs: BlobStore) -> None:
        """Write the changes; deletions come first, so that a file can become a folder and the other way round.

        Raises: `WorkspaceError` for a path outside, in a `.git`, or behind a link; part of the changes may be written then.
        """
        checked_all(change.path for change in changes)
        ordered = sorted(changes, key=lambda change: change.path)
        for change in ordered:
            if change.content is None:
                with _named(change.path):
                    self._files.delete(change.path)
        for change in ordered:
            if change.content is not None:
                data = blobs.get(change.content)
                with _named(change.path):
                    self._files.write(change.path, change.mode, data)

    def restore(self, patterns: Sequence[str]) -> tuple[str, ...]:
        """Put every path matched by `patterns` back to the base; returns those that differed, caches and ignored files too.

        A link or file that stands where a protected folder was is removed.
        """
        base, look = self._base, self._files.look()
        everything = list(survey.everything(look.listed))
        wrong = set(look.gone(frozenset(found.path for found in everything if found.kind != "folder")))
        differed: set[str] = set()
        for found in everything:
            if not matches(found.path, patterns) or found.path in base.submodules:
                continue
            if found.path in base.entries:
                if not survey.same_as_base(self._files.root, found, base):
                    wrong.add(found.path)
            elif found.kind != "folder":
                with _named(found.path):
                    self._files.delete(found.path)
                differed.add(found.path)
        for path in sorted(wrong):
            if matches(path, patterns):
                mode = base.entries[path].mode
                with _named(path):
                    self._files.write(path, mode, _base_content(base, path, mode), clear_way=True)
                differed.add(path)
        return tuple(sorted(survey.shown(path) for path in differed))

    def harvest(self, blobs: BlobStore) -> tuple[Change, ...]:
        """What differs from the base tree, ordered by path; caches and what the base ignores are left out.

        Raises: `WorkspaceError` for sockets, devices, a nested `.git`, names that are not UTF-8, and more than 10,000 files or 100 MiB.
        """
        changed: list[survey.Found] = []
        seen: set[str] = set()
        size_bytes = 0
        look = self._files.look()
        try:
            for found in survey.unignored(look.listed, self._base, lambda paths: ignored(self._base, self._git, paths)):
                seen.add(found.path)
                if survey.same_as_base(self._files.root, found, self._base):
                    continue
                changed.append(found)
                size_bytes += found.size_bytes
                _check_limits(len(changed), size_bytes)
        except OSError as error:
            raise WorkspaceError(
                f"candidate {str(self.path)!r} cannot be read: {error}; nothing may run in it now"
            ) from error
        gone = list(look.gone(frozenset(seen)))
        _check_limits(len(changed) + len(gone), size_bytes)
        for path in (*gone, *(found.path for found in changed)):
            _check_name(path)
        changes = [Change(path=path, mode="100644", content=None) for path in gone]
        for found in changed:
            assert found.kind in ("100644", "100755", "120000")
            data = survey.content(self._files.root, found)
            changes.append(
                Change(path=found.path, mode=found.kind, content=blobs.put(data, _media_type(data), exact=True))
            )
        return tuple(sorted(changes, key=lambda change: change.path))

    def discard(self) -> None:
        """Delete it, whatever modes lie in it; again is fine. What another user left in it stays for `loopwright gc`."""
        remove_tree(self._home)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.discard()


class DiskCandidate(TreeCandidate):
    """A full copy: its files are in `home / "tree"`, on this side too."""

    def __init__(self, home: Path, base: Base, git: Git) -> None:
        super().__init__(home, base, git, _OnDisk(home / "tree", base))


class _OnDisk:
    def __init__(self, root: Path, base: Base) -> None:
        self._root = root
        self._base = base

    @property
    def root(self) -> Path:
        return self._root

    def look(self) -> "_OnDisk":
        return self  # it remembers nothing between two walks

    def listed(self, folders: Iterable[str]) -> Iterator[survey.Found]:
        return survey.on_disk(self._root)(folders)

    def gone(self, seen: frozenset[str]) -> Iterable[str]:
        return (path for path in self._base.entries if path not in seen)

    def read(self, path: str, limit_bytes: int) -> bytes | None:
        *folders, name = path.split("/")
        with beneath.open_folder(self._root, "/".join(folders)) as folder:
            return None if folder is None else beneath.read_bounded(name, folder, limit_bytes)

    def write(self, path: str, mode: str, content: bytes, *, clear_way: bool = False) -> None:
        beneath.write(self._root, path, mode, content, clear_way=clear_way)

    def delete(self, path: str) -> None:
        beneath.delete(self._root, path)


def _base_content(base: Base, path: str, mode: str) -> bytes:
    source = base.files / path
    return os.readlink(os.fsencode(source)) if mode == "120000" else source.read_bytes()


def _check_limits(files: int, size_bytes: int) -> None:
    if files > MAX_CHANGED_FILES or size_bytes > MAX_CHANGED_BYTES:
        raise WorkspaceError(
            f"candidate changes {files} files with {size_bytes} bytes; expected at most {MAX_CHANGED_FILES} files and "
            f"{MAX_CHANGED_BYTES} bytes: add what is generated to .gitignore"
        )


def _check_name(path: str) -> None:
    try:
        path.encode()
    except UnicodeEncodeError:
        raise WorkspaceError(
            f"candidate holds {survey.shown(path)!r}, whose name is not UTF-8; expected a UTF-8 name: rename it"
        ) from None


def _media_type(data: bytes) -> str:
    try:
        data.decode()
    except UnicodeDecodeError:
        return "application/octet-stream"
    return "text/plain"


@contextlib.contextmanager
def _named(path: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        raise WorkspaceError(
            f"path {survey.shown(path)!r} cannot be used in a candidate: {error}; expected a name the file system takes"
        ) from error
