"""The loop files of a folder, looked at again and again. A faulty one is said once, and its last good version stays in force."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from loopwright.engine.triggers.signature import Signature, signature_of
from loopwright.errors import LoopFileError
from loopwright.loopfile import LoopFile, not_available, read

__all__ = ["Fault", "LoopFiles", "load_all"]

_COMPANIONS: Final = frozenset({"readme.md", "program.md", "prompt.md", "agents.md", "skill.md"})
"""Pages that stand beside a loop and are none, by lower-case name."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a file, one line a problem, each with its place."""

    path: Path
    message: str


@dataclass(slots=True)
class _Seen:
    signature: Signature
    content: str
    """SHA-256 of the bytes; `""` = unreadable."""
    good: LoopFile | None = None
    fault: str | None = None


@dataclass(slots=True)
class LoopFiles:
    """`say` gets each fault once for each content of its file. `in_force`: the loops by name, changed by `poll` alone."""

    folder: Path
    say: Callable[[Fault], None] = lambda fault: None
    in_force: Mapping[str, LoopFile] = field(default_factory=dict)
    _seen: dict[Path, _Seen] = field(default_factory=dict)
    _owners: dict[str, Path] = field(default_factory=dict)
    _refused: set[tuple[Path, str]] = field(default_factory=set)

    def poll(self) -> bool:
        """Look at the folder; true when `in_force` is another mapping than before. Unchanged files cost one `stat` each."""
        paths = _loop_paths(self.folder)
        changed = len(paths) != len(self._seen) or any(path not in self._seen for path in paths)
        for path in paths:
            changed |= self._look(path)
        for gone in self._seen.keys() - set(paths):
            del self._seen[gone]
        if changed:
            self._settle()
        return changed

    def _look(self, path: Path) -> bool:
        signature = signature_of(path)
        seen = self._seen.get(path)
        if seen is not None and seen.signature == signature:
            return False
        content = _digest(path)
        if seen is None:
            seen = self._seen[path] = _Seen(signature, "-")
        seen.signature = signature
        if seen.content == content:
            return False
        seen.content = content
        try:
            loop_file = read(path)
            missing = not_available(loop_file.loop)
            seen.fault = f"{loop_file.source}: " + "; ".join(missing) if missing else None
            seen.good = seen.good if missing else loop_file
        except LoopFileError as error:
            seen.fault = str(error)
        if seen.fault is not None:
            self.say(Fault(path, seen.fault))
        return True

    def _settle(self) -> None:
        """One file a name; who has the name already keeps it."""
        good = {path: seen.good for path, seen in sorted(self._seen.items()) if seen.good is not None}
        owners = {name: path for name, path in self._owners.items() if path in good and good[path].loop.name == name}
        refused = set()
        for path, loop_file in good.items():
            name = loop_file.loop.name
            owner = owners.setdefault(name, path)
            if owner != path:
                refused.add((path, name))
                if (path, name) not in self._refused:
                    self.say(Fault(path, f"{path}: name: {name!r} is the name of {owner} already; choose another one"))
        self._refused = refused
        self._owners = owners
        self.in_force = {name: good[path] for name, path in sorted(owners.items())}


def load_all(folder: Path) -> tuple[tuple[LoopFile, ...], tuple[Fault, ...]]:
    """The loops of a folder, by name, and what is wrong with the other files; looked at once."""
    faults: list[Fault] = []
    files = LoopFiles(folder, faults.append)
    files.poll()
    return tuple(files.in_force.values()), tuple(faults)


def _loop_paths(folder: Path) -> list[Path]:
    try:
        # An editor's lock and swap files begin with a dot.
        return sorted(
            path
            for path in folder.iterdir()
            if path.suffix == ".md" and not path.name.startswith(".") and path.name.lower() not in _COMPANIONS
        )
    except OSError:
        return []


def _digest(path: Path) -> str:
    try:
        if not path.is_file():
            return ""
        with path.open("rb") as file:
            return hashlib.sha256(file.read(1 << 20)).hexdigest()
    except OSError:
        return ""
