"""Which folders outside the system's own a command must see, read-only, for the user's programs to run: prefixes, never a home.

A folder on PATH stands for what is installed with it: `/opt/tool/bin` for `/opt/tool`, an interpreter's `bin` for its prefix. In a home
more than that lies in the same places (`~/.cargo/credentials.toml`, `~/.local/share/keyrings`), so there a parent is shown only when
it is an install prefix, one that has a `lib`, and of `~/.local` only `bin` and `lib`.
"""

import os
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path

__all__ = ["SYSTEM", "named_files", "visible_folders"]

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
"""What every backend shows anyway."""

_PROGRAM_FOLDERS = ("bin", "sbin", "shims")
_PTH_BYTES = 64 << 10
_WORD_CHARS = 4096


def visible_folders(
    *, path: str, prefixes: Iterable[Path], home: Path | None, root: Path, more: Iterable[Path] = ()
) -> tuple[Path, ...]:
    """The folders, ordered, none below another. `path` is PATH; `prefixes` are environments that are used whether they stand in it or
    not; `root` is the repository, of which only its environments are shown: a copy stands in for the rest; `more` is shown as it is.

    A home, what holds it, and `/` are never among them, whatever was asked for.
    """
    home = None if home is None else _real(home)
    root = _real(root)
    found: dict[Path, None] = {}
    waiting = [*_of_path(path, home), *prefixes]
    seen: set[Path] = set()
    while waiting:
        named = waiting.pop()
        prefix = _real(named)
        if named in seen or not _is_folder(prefix):
            continue
        seen.add(named)
        # By both names where a link leads to it: programs are called by the one, and look for their own files by the other.
        found.update((folder, None) for folder in (named, prefix) if not _system(folder))
        waiting += _base_of(prefix)
        waiting += (folder for folder in _linked(prefix) if not folder.is_relative_to(root))
    found.update(dict.fromkeys(_real(folder) for folder in more if os.path.exists(folder)))
    kept = [f for f in found if not any(_holds(_real(f), place) or _holds(f, place) for place in (home, root))]
    return tuple(sorted(f for f in kept if not any(f != other and f.is_relative_to(other) for other in kept)))


def _of_path(path: str, home: Path | None) -> Iterator[Path]:
    for entry in filter(None, path.split(os.pathsep)):
        folder = Path(os.path.normpath(entry))
        parent = folder.parent
        if not Path(entry).is_absolute() or not _is_folder(folder):
            continue
        if home is not None and parent == home / ".local":
            yield from (parent / "bin", parent / "lib")
        elif folder.name not in _PROGRAM_FOLDERS or _holds(parent, home):
            yield folder
        elif home is not None and folder.is_relative_to(home):
            installed = _is_folder(parent / "lib") or _is_folder(parent / "versions")
            yield parent if installed else folder
        else:
            yield parent


def _base_of(prefix: Path) -> Iterator[Path]:
    """Where a virtual environment's interpreter was installed."""
    try:
        lines = (prefix / "pyvenv.cfg").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        key, equals, value = line.partition("=")
        if equals and key.strip() == "home" and value.strip():
            yield Path(value.strip()).parent
            # The folder may itself be of links (`/usr/local/bin/python3` to a versioned installation).
            for name in ("python3", "python"):
                program = Path(value.strip()) / name
                if os.path.exists(program):
                    yield _real(program).parent.parent


def _linked(prefix: Path) -> Iterator[Path]:
    """What the environment's `.pth` files put on its path: packages that were installed from their sources."""
    for folder in prefix.glob("lib/python3*/site-packages"):
        for file in sorted(folder.glob("*.pth")):
            try:
                text = file.read_bytes()[:_PTH_BYTES].decode("utf-8", "replace")
            except OSError:
                continue
            for line in text.splitlines():
                if line.startswith("/") and _is_folder(Path(line.strip())):
                    yield Path(line.strip())


def _is_folder(path: Path) -> bool:
    """PATH may lead through folders that we may not enter, root's for instance: what we cannot see, no command is shown."""
    try:
        return path.is_dir()
    except OSError:
        return False


def _system(folder: Path) -> bool:
    return any(folder.is_relative_to(place) for place in SYSTEM)


def _holds(folder: Path, place: Path | None) -> bool:
    """Whether `folder` is `place` or one of the folders above it."""
    return folder == Path("/") or (place is not None and place.is_relative_to(folder))


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def named_files(argv: Iterable[str]) -> tuple[Path, ...]:
    """The files that a command of the loop file names by their full path: who wrote it there means it to be used.

    Only for commands that the user wrote; never for what an actor asks to run. Folders and what is not there are left out.
    """
    found: dict[Path, None] = {}
    for word in argv:
        if len(word) > _WORD_CHARS:
            continue  # a program's text, not a word
        try:
            parts = shlex.split(word) if any(mark in word for mark in " \t\n;&|") else [word]
        except ValueError:
            continue
        for part in parts:
            if part.startswith("/") and "\0" not in part and os.path.isfile(part):
                path = Path(part)
                found.update((p, None) for p in (path, _real(path)) if not _system(p))
    return tuple(found)
