"""A skill's files as they are on disk, read once: what is hashed is what is scanned and what is handed on.

A skill is read into memory whole, so nothing can be exchanged between the check and the use, and everything that is not a plain file
inside it (a link that leaves, a device, a pipe) is refused: whoever follows such a thing reads what nobody pinned.
"""

import os
import stat
from pathlib import Path

from loopwright.kernel.values import Value
from loopwright.policy.names import hidden
from loopwright.tools.canonical import canonical, digest_of
from loopwright.tools.skills.errors import SkillRefused

__all__ = ["SkillFile", "SkillTree", "changes_between", "read_tree"]

_FILES = 2_000
_TREE_BYTES = 32 << 20


class SkillFile(Value, frozen=True):
    """`path` uses `/`; `mode` is git's: 100644, 100755, or 120000 for a link inside the skill (then `sha256` is of its target)."""

    path: str
    mode: str
    sha256: str


class SkillTree(Value, frozen=True):
    """`sha256` changes with any path, mode or byte. `contents` are the bytes of `files`, in their order."""

    files: tuple[SkillFile, ...]
    contents: tuple[bytes, ...]

    @property
    def sha256(self) -> str:
        return digest_of(
            canonical([[f.path, f.mode, f.sha256] for f in self.files], limit_bytes=_TREE_BYTES, what="files")
        )

    def read(self, path: str) -> bytes | None:
        """The bytes of a file, `None` when there is none."""
        return next((data for file, data in zip(self.files, self.contents, strict=True) if file.path == path), None)


def read_tree(folder: Path) -> SkillTree:
    """Every file beneath `folder`, ordered by path; caches of Python and git's own folder count like everything else.

    Raises: `SkillRefused` for what cannot be pinned.
    """
    found: list[tuple[SkillFile, bytes]] = []
    size_bytes = 0
    waiting = [folder]
    if folder.is_symlink() or not folder.is_dir():
        raise _refused(folder.name, "is no folder", "name the skill's folder itself")
    while waiting:
        for entry in sorted(os.scandir(waiting.pop()), key=lambda e: e.name):
            relative = Path(entry.path).relative_to(folder).as_posix()
            mode = entry.stat(follow_symlinks=False).st_mode
            if hidden(relative) is not None or not relative.isprintable():
                raise _refused(
                    folder.name, f"file {relative!a} has a name with characters that do not show", "rename it"
                )
            if stat.S_ISDIR(mode):
                waiting.append(Path(entry.path))
                continue
            data = _content(folder, Path(entry.path), relative, mode)
            size_bytes += len(data)
            found.append((SkillFile(relative, _git_mode(mode), digest_of(data)), data))
            if len(found) > _FILES or size_bytes > _TREE_BYTES:
                raise _refused(
                    folder.name,
                    f"holds more than {_FILES} files or {_TREE_BYTES >> 20} MiB",
                    "leave out what is no part of the skill",
                )
    found.sort(key=lambda pair: pair[0].path)
    return SkillTree(tuple(file for file, _ in found), tuple(data for _, data in found))


def changes_between(pinned: tuple[SkillFile, ...], now: tuple[SkillFile, ...]) -> tuple[str, ...]:
    """One line a changed file, ordered by path: `changed a`, `new b`, `gone c`, `mode d 100644 → 100755`."""
    before = {file.path: file for file in pinned}
    after = {file.path: file for file in now}
    lines = []
    for path in sorted(before.keys() | after.keys()):
        old, new = before.get(path), after.get(path)
        if old is None or new is None:
            lines.append(f"{'new' if old is None else 'gone'} {path}")
        elif old.sha256 != new.sha256:
            lines.append(f"changed {path}")
        elif old.mode != new.mode:
            lines.append(f"mode {path} {old.mode} → {new.mode}")
    return tuple(lines)


def _content(folder: Path, path: Path, relative: str, mode: int) -> bytes:
    if stat.S_ISLNK(mode):
        target = os.readlink(path)
        where = Path(os.path.realpath(path))
        if os.path.isabs(target) or not where.is_relative_to(os.path.realpath(folder)):
            raise _refused(
                folder.name, f"link {relative!a} leads out of the skill", "replace it by a copy of what it leads to"
            )
        return os.fsencode(target)
    if not stat.S_ISREG(mode):
        raise _refused(folder.name, f"{relative!a} is no regular file", "remove it")
    # Opened without following, and without waiting: it may have become a link or a pipe since it was looked at.
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(fd, "rb") as file:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_size > _TREE_BYTES:
            raise _refused(folder.name, f"{relative!a} is no regular file of ordinary size", "remove it")
        return file.read(_TREE_BYTES + 1)


def _git_mode(mode: int) -> str:
    if stat.S_ISLNK(mode):
        return "120000"
    return "100755" if mode & 0o111 else "100644"


def _refused(name: str, why: str, remedy: str) -> SkillRefused:
    return SkillRefused("skill.tree", f"skill {name!a}: {why}", remedy)
