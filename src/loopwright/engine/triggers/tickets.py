"""The open tickets of a folder: Markdown files with front matter. Everything in them is untrusted; nothing here follows a link.

A ticket counts once two looks in a row found the same file: a half-written one is no ticket yet.
"""

import hashlib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import yaml

from loopwright.engine.triggers.signature import Signature, signature_from
from loopwright.kernel.due import Sighting
from loopwright.views.text import one_line

__all__ = ["MOST_TICKETS", "Ticket", "TicketFault", "TicketFolder", "parse_ticket"]

MOST_TICKETS: Final = 1000
_MAX_BYTES: Final = 256 * 1024
_MAX_FRONT_CHARS: Final = 8 * 1024
_OPEN: Final = "open"
_CLOSED: Final = frozenset({"closed", "done"})

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class TicketFault(Exception):
    """Why a file is no ticket, without its name."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """`title` is one harmless line; `digest` is the SHA-256 of the file's bytes."""

    title: str
    is_open: bool
    digest: str


@dataclass(slots=True)
class _Seen:
    signature: Signature
    ticket: Ticket | None = None
    fault: str | None = None
    looks: int = 1


@dataclass(slots=True)
class TicketFolder:
    """`folder` is relative to `root`, with `/`. `say` gets each fault once for each content of its file."""

    root: Path
    folder: str
    say: Callable[[str], None] = lambda message: None
    _seen: dict[str, _Seen] = field(default_factory=dict)
    _said: dict[str, str] = field(default_factory=dict)

    def look(self) -> tuple[Sighting, ...]:
        """The open tickets, by path. Unchanged files cost one `stat` each."""
        seen: dict[str, _Seen] = {}
        faults: dict[str, str] = {}
        try:
            descriptor = _open_folder(self.root, self.folder)
        except FileNotFoundError:
            descriptor = None  # a folder that is not there has no tickets
        except OSError as error:
            descriptor = None
            faults[self.folder] = f"cannot be looked at without following a link ({error.strerror}); make it a folder"
        if descriptor is not None:
            try:
                names = _names(descriptor)
                if len(names) > MOST_TICKETS:
                    faults[self.folder] = f"holds {len(names)} tickets; the first {MOST_TICKETS} count: close some"
                for name in names[:MOST_TICKETS]:
                    if (found := self._one(descriptor, name)) is not None:
                        seen[name] = found
            finally:
                os.close(descriptor)
        self._seen = seen
        faults |= {f"{self.folder.rstrip('/')}/{name}": one.fault for name, one in seen.items() if one.fault}
        for path, fault in faults.items():
            if self._said.get(path) != fault:
                self.say(f"{path}: {fault}")
        self._said = faults
        return tuple(
            Sighting(f"{self.folder.strip('/')}/{name}", one.ticket.digest)
            for name, one in seen.items()
            if one.looks > 1 and one.ticket is not None and one.ticket.is_open
        )

    def _one(self, folder: int, name: str) -> _Seen | None:
        try:
            found = os.lstat(name, dir_fd=folder)
        except OSError:
            return None
        signature = signature_from(found)
        seen = self._seen.get(name)
        if seen is not None and seen.signature == signature:
            seen.looks += 1
            return seen
        fresh = _Seen(signature)
        try:
            fresh.ticket = parse_ticket(_read(folder, name), name)
        except (TicketFault, OSError) as error:
            fresh.fault = str(error) if isinstance(error, TicketFault) else f"cannot be read ({error.strerror})"
        return fresh


def parse_ticket(data: bytes, name: str) -> Ticket:
    """`status` of the front matter: `open` or absent = open, `closed` or `done` = not. Raises: `TicketFault`."""
    try:
        text = data.decode("utf-8").removeprefix("\ufeff").replace("\r\n", "\n")
    except UnicodeDecodeError:
        raise TicketFault("is not UTF-8; save it as UTF-8") from None
    front, body = _split(text)
    fields = _fields(front)
    status = fields.get("status", _OPEN).strip().lower() or _OPEN
    if status != _OPEN and status not in _CLOSED:
        # What cannot be understood starts nothing: a run costs money.
        raise TicketFault(f"status: expected open, closed or done, found {one_line(status, 40)!r}")
    first = next((line.lstrip("#").strip() for line in body.splitlines() if line.strip()), "")
    title = one_line(fields.get("title", "") or first or name, 120)
    return Ticket(title, status == _OPEN, hashlib.sha256(data).hexdigest())


def _split(text: str) -> tuple[str, str]:
    lines = text.split("\n")
    if lines[0].rstrip() != "---":
        return "", text
    for number, line in enumerate(lines[1:], 1):
        if line.rstrip() == "---":
            return "\n".join(lines[1:number]), "\n".join(lines[number + 1 :])
    raise TicketFault("1: the front matter that opens here is never closed; put a line '---' below it")


def _fields(front: str) -> dict[str, str]:
    """The scalars of the front matter; other values may stand there and say nothing to us."""
    if len(front) > _MAX_FRONT_CHARS:
        raise TicketFault(f"front matter: expected at most {_MAX_FRONT_CHARS} characters, found {len(front)}")
    try:
        # The tree only: no value of a stranger's file is constructed, and an alias is not followed.
        node = yaml.compose(front, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 2 if mark is not None else 1
        raise TicketFault(f"{line}: the front matter does not read as YAML; repair it or take it away") from None
    if node is None:
        return {}
    if not isinstance(node, yaml.MappingNode):
        raise TicketFault("2: expected 'key: value' lines in the front matter, found something else")
    return {
        str(key.value): str(value.value)
        for key, value in node.value
        if isinstance(key, yaml.ScalarNode) and isinstance(value, yaml.ScalarNode)
    }


def _open_folder(root: Path, folder: str) -> int:
    descriptor = os.open(root, _FOLDER & ~os.O_NOFOLLOW)
    for name in folder.strip("/").split("/"):
        try:
            below = os.open(name, _FOLDER, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        descriptor = below
    return descriptor


def _names(folder: int) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(
            entry.name
            for entry in entries
            if entry.name.endswith(".md")
            and not entry.name.startswith(".")
            and entry.name.lower() != "readme.md"
            and entry.name.isprintable()
            and entry.is_file(follow_symlinks=False)
        )


def _read(folder: int, name: str) -> bytes:
    with open(os.open(name, _FILE, dir_fd=folder), "rb") as file:
        # Between the listing and here it may have become a pipe, which would keep us waiting.
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise TicketFault("is no regular file any more")
        data = file.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise TicketFault(f"is larger than {_MAX_BYTES // 1024} KiB; shorten it")
    return data
