"""One read-only copy of each tree, written once and shared by all candidates and processes, with a list of what is in it.

The list lies outside the copied files. Every full copy is compared with it while it is made, so a base that something wrote to is
noticed and made anew, never handed out. A base that overlays lie on is looked over once by every process: see `lower.py`.
"""

import bisect
import contextlib
import hashlib
import os
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from loopwright.errors import WorkspaceError
from loopwright.journal.lock import exclusive
from loopwright.sandbox.remove import remove_tree
from loopwright.workspace.git import Git

__all__ = ["Base", "Entry", "copy_to", "ensure", "ignored", "read_only"]

_LIST = "manifest"
_FILES = "files"
_SUBMODULE = "160000"
_CHUNK_BYTES = 1 << 20
_KEPT = 8


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of the tree as it was checked out; `sha256` and `size_bytes` are of its content or of its link's target."""

    mode: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Base:
    """`files` is the folder with the copy. Paths are as Python names them: an odd byte is a lone surrogate.

    `folders` are all folders that hold an entry; `submodules` are checked out as empty folders. `children` are the names directly
    below each folder (`""` = the root); `ordered` are the paths of all entries by their characters.
    """

    tree: str
    files: Path
    entries: Mapping[str, Entry]
    folders: frozenset[str]
    submodules: frozenset[str]
    children: Mapping[str, frozenset[str]]
    ordered: tuple[str, ...]

    def is_folder(self, path: str) -> bool:
        return path in self.folders or path in self.submodules

    def below(self, path: str) -> Iterator[str]:
        """The entries that are `path` or lie below it."""
        if path in self.entries:
            yield path
        prefix = f"{path}/"
        for at in range(bisect.bisect_left(self.ordered, prefix), len(self.ordered)):
            if not self.ordered[at].startswith(prefix):
                return
            yield self.ordered[at]


class _Spoilt(Exception):
    """The copy and its list do not agree."""


_known_guard = threading.Lock()
_known: dict[Path, tuple[tuple[int, ...], Base]] = {}
"""What this process has read and found good, by place: reading a list of 20,000 files takes longer than making an overlay."""


def read_only(place: Path) -> None:
    """The usual `seal`: nobody writes into it by mistake."""
    for folder, _, names in os.walk(place / _FILES, topdown=False):
        for name in names:
            path = os.path.join(folder, name)
            mode = os.lstat(path).st_mode
            if stat.S_ISREG(mode):
                os.chmod(path, 0o555 if mode & 0o100 else 0o444)
        # Folders stay writable: a user removes `.loopwright` with a plain `rm -rf`.
        os.chmod(folder, 0o755)  # noqa: S103


def ensure(
    cache: Path,
    tree: str,
    git: Git,
    *,
    name: str | None = None,
    seal: Callable[[Path], None] = read_only,
    is_sound: Callable[[Path], bool] = lambda _: True,
) -> Base:
    """The base of `tree`, made if it is not there. Several processes may ask at once: one wins, all get the same.

    It lies in `cache / name` (the tree's id when `None`). `seal` ends its making; `is_sound` is asked once by every process whether
    nothing was done to it since; both get the folder. Raises: `WorkspaceError` when git cannot write the tree out.
    """
    place = cache / (name or tree)
    with contextlib.suppress(FileNotFoundError, _Spoilt):
        base = _load(place, tree, is_sound)
        os.utime(place)  # still wanted: garbage collection goes by this
        return base
    cache.mkdir(parents=True, exist_ok=True)
    # One writer at a time: of two that race, one would set aside what the other has just put there.
    with exclusive(cache.parent / "trees.lock"):
        with contextlib.suppress(_Spoilt, FileNotFoundError):
            return _load(place, tree, is_sound)  # another process was faster
        draft = Path(tempfile.mkdtemp(prefix=f".{tree}-", dir=cache))
        try:
            _write(draft, tree, git)
            seal(draft)
            _set_aside(place, cache)
            draft.rename(place)
            return _load(place, tree, is_sound)
        except _Spoilt:
            raise WorkspaceError(
                f"base copy of tree {tree!r} in {str(cache)!r} is spoilt again and again; check the disk"
            ) from None
        finally:
            if draft.exists():
                remove_tree(draft)


def copy_to(cache: Path, tree: str, git: Git, target: Path) -> Base:
    """A writable copy of `tree` in `target`, a folder that does not exist yet; times are the base's. Returns the base.

    Raises: `WorkspaceError`.
    """
    for attempt in (1, 2):
        base = ensure(cache, tree, git)
        try:
            _copy(base, target)
        except (_Spoilt, FileNotFoundError):
            remove_tree(target)
            if attempt == 2:
                break
            _set_aside(base.files.parent, cache)
        except OSError as error:
            raise WorkspaceError(
                f"tree {tree!r} cannot be copied to {str(target)!r}: {error}; make room or check the folder"
            ) from error
        else:
            return base
    raise WorkspaceError(
        f"base copy of tree {tree!r} in {str(cache)!r} changes while it is used; end whatever writes there"
    )


def ignored(base: Base, git: Git, paths: Sequence[str]) -> frozenset[str]:
    """Those of `paths` that the ignore files OF THE BASE ignore (and the user's own); a folder ends with `/`.

    A candidate's `.gitignore` is never read: it could hide a change.
    """
    # git refuses to look behind what is a file, a link or a submodule in the base; nothing there can be ignored.
    asked = [
        path
        for path in paths
        if not any(up in base.entries or up in base.submodules for up in _above(path.rstrip("/")))
    ]
    if not asked:
        return frozenset()
    stdin = b"".join(os.fsencode(path) + b"\0" for path in asked)
    out = git.for_copies(base.files).run("check-ignore", "--no-index", "-z", "--stdin", stdin=stdin, accepted=(0, 1))
    return frozenset(os.fsdecode(path) for path in out.split(b"\0") if path)


def _write(draft: Path, tree: str, git: Git) -> None:
    files = draft / _FILES
    files.mkdir()
    inside = git.for_copies(files, index=draft / "index")
    inside.run("read-tree", tree)
    inside.run("checkout-index", "--all", "--quiet", "--force")
    lines: list[bytes] = []
    for record in inside.run("ls-files", "--stage", "-z").split(b"\0"):
        if not record:
            continue
        meta, _, raw = record.partition(b"\t")
        mode = meta.split(b" ")[0].decode()
        digest, size = ("-", 0) if mode == _SUBMODULE else _digest(files / os.fsdecode(raw), mode)
        lines.append(b"%s %s %d\t%s\0" % (mode.encode(), digest.encode(), size, raw))
    (draft / "index").unlink()
    (draft / _LIST).write_bytes(b"".join(lines) + b"end %d\0" % len(lines))


def _digest(path: Path, mode: str) -> tuple[str, int]:
    if mode == "120000":
        target = os.readlink(os.fsencode(path))
        return hashlib.sha256(target).hexdigest(), len(target)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return digest, file.tell()


def _load(place: Path, tree: str, is_sound: Callable[[Path], bool]) -> Base:
    status = os.stat(place / _LIST)
    stamp = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    known = _known.get(place)
    if known is not None and known[0] == stamp:
        return known[1]
    base = _read(place, tree)
    if not is_sound(place):
        raise _Spoilt
    with _known_guard:
        while len(_known) >= _KEPT:
            del _known[next(iter(_known))]
        _known[place] = (stamp, base)
    return base


def _read(place: Path, tree: str) -> Base:
    records = (place / _LIST).read_bytes().split(b"\0")
    if len(records) < 2 or records[-2] != b"end %d" % (len(records) - 2):
        raise _Spoilt  # the machine went down while it was written
    entries: dict[str, Entry] = {}
    submodules: set[str] = set()
    for record in records[:-2]:
        meta, _, raw = record.partition(b"\t")
        mode, digest, size = meta.decode().split(" ")
        path = os.fsdecode(raw)
        if mode == _SUBMODULE:
            submodules.add(path)
        else:
            entries[path] = Entry(mode, digest, int(size))
    children: dict[str, set[str]] = {"": set()}
    for path in (*entries, *submodules):
        while path:
            folder, _, name = path.rpartition("/")
            known = folder in children
            children.setdefault(folder, set()).add(name)
            if known:
                break  # the folders above it were entered with their first entry
            path = folder
    folders = frozenset(children) - {""}
    below = {folder: frozenset(names) for folder, names in children.items()}
    return Base(tree, place / _FILES, entries, folders, frozenset(submodules), below, tuple(sorted(entries)))


def _copy(base: Base, target: Path) -> None:
    """By hand rather than with `cp`: it checks every byte on the way, and is not slower for the usual small files."""
    source_root, target_root = str(base.files), str(target)
    stamp_ns = os.stat(source_root).st_mtime_ns
    os.mkdir(target_root, 0o755)
    for folder in sorted(base.folders | base.submodules):
        os.mkdir(f"{target_root}/{folder}", 0o755)
    for path, entry in base.entries.items():
        source, copy = f"{source_root}/{path}", f"{target_root}/{path}"
        if entry.mode == "120000":
            link = os.readlink(os.fsencode(source))
            digest = hashlib.sha256(link)
            os.symlink(link, os.fsencode(copy))
        else:
            digest = _copy_file(source, copy, 0o755 if entry.mode == "100755" else 0o644, stamp_ns)
        if digest.hexdigest() != entry.sha256:
            raise _Spoilt


def _copy_file(source: str, copy: str, mode: int, stamp_ns: int) -> "hashlib._Hash":
    digest = hashlib.sha256()
    reader = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        writer = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            while chunk := os.read(reader, _CHUNK_BYTES):
                digest.update(chunk)
                rest = memoryview(chunk)
                while rest:
                    rest = rest[os.write(writer, rest) :]
                if len(chunk) < _CHUNK_BYTES:
                    break  # a regular file gives less only at its end
            os.utime(writer, ns=(stamp_ns, stamp_ns))
        finally:
            os.close(writer)
    finally:
        os.close(reader)
    return digest


def _set_aside(place: Path, cache: Path) -> None:
    """Out of the way in one step, then deleted: whoever is still copying from it keeps a consistent view or starts again."""
    grave = Path(tempfile.mkdtemp(prefix=".old-", dir=cache))
    with contextlib.suppress(FileNotFoundError):
        place.rename(grave / "old")
    remove_tree(grave)


def _above(path: str) -> Iterator[str]:
    for parent in PurePosixPath(path).parents:
        if str(parent) != ".":
            yield str(parent)
