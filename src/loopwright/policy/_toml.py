"""Reading a TOML table key by key, with the line of every key: an unknown key is refused with the nearest one that exists.

`tomllib` gives no lines, so a second, shallow look at the text finds where each table and key stands. A key inside an inline table has
the line of the key that holds it.
"""

import re
import tomllib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, TypeVar

from loopwright.errors import UsageError

__all__ = ["Faults", "Table", "read_toml"]

T = TypeVar("T")
Path = tuple[str | int, ...]
_HEADER = re.compile(r"^\s*(\[\[?)\s*(.+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"""^\s*((?:"[^"]*"|'[^']*'|[\w-]+)(?:\s*\.\s*(?:"[^"]*"|'[^']*'|[\w-]+))*)\s*=""")
_PART = re.compile(r""""([^"]*)"|'([^']*)'|([\w-]+)""")
_SHOWN = 20


@dataclass(slots=True)
class Faults:
    """All that is wrong with one file, so that its author sees everything at once."""

    source: str
    lines: dict[Path, int]
    found: list[tuple[int, str]] = field(default_factory=list)

    def add(self, path: Path, text: str) -> None:
        """`text` says expected, found and next move in one line; the deepest known part of `path` gives the line number."""
        line = next((self.lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in self.lines), 1)
        self.found.append((line, f"{shown_path(path)}: {text}" if path else text))

    def raise_any(self) -> None:
        """Raises: `UsageError`, one line a fault in the order of the file."""
        if not self.found:
            return
        ordered = sorted(self.found, key=lambda fault: fault[0])
        lines = [f"{self.source}:{line}: {text}" for line, text in ordered[:_SHOWN]]
        if len(ordered) > _SHOWN:
            lines.append(f"{self.source}:{ordered[_SHOWN][0]}: {len(ordered) - _SHOWN} more from here on")
        raise UsageError("\n".join(lines))


@dataclass(slots=True)
class Table:
    """One table of the file. Take every key that may stand in it, then call `close`, which refuses what is left."""

    values: dict[str, Any]
    path: Path
    faults: Faults
    taken: list[str] = field(default_factory=list)

    def text(self, key: str, default: str = "", *, among: Sequence[str] = ()) -> str:
        value: str = self._take(key, str, "a text", default)
        if among and key in self.values and value not in among:
            self.wrong(key, f"expected one of {', '.join(among)}, found {quoted(value)}{nearest(value, among)}")
            return default
        return value

    def texts(self, key: str, *, among: Sequence[str] = ()) -> tuple[str, ...]:
        value = self._take(key, list, "a list of texts", [])
        if not all(isinstance(item, str) for item in value):
            self.wrong(key, f"expected a list of texts, found {quoted(value)}")
            return ()
        for item in value:
            if among and item not in among:
                self.wrong(
                    key, f"expected each to be one of {', '.join(among)}, found {quoted(item)}{nearest(item, among)}"
                )
        return tuple(value)

    def flag(self, key: str) -> bool | None:
        """`None` when it is not there."""
        value: bool | None = self._take(key, bool, "true or false", None)
        return value

    def whole(self, key: str, default: int) -> int:
        """A number that is not negative."""
        value: int = self._take(key, int, "a whole number", default)
        if value < 0:
            self.wrong(key, f"expected a number that is not negative, found {value}")
            return default
        return value

    def limit(self, key: str, default: int | None, word: str = "unlimited") -> int | None:
        """As `whole`, or the word for no limit at all."""
        if self.values.get(key) == word:
            self.taken.append(key)
            return None
        if key not in self.values:
            self.taken.append(key)
            return default
        if isinstance(self.values[key], str):
            self.taken.append(key)
            self.wrong(key, f'expected a whole number or "{word}", found {quoted(self.values[key])}')
            return default
        return self.whole(key, 0)

    def table(self, key: str) -> "Table | None":
        """The table below `key`; `None` when it is not there."""
        if key not in self.values:
            self.taken.append(key)
            return None
        value = self._take(key, dict, "a table", {})
        return Table(value, (*self.path, key), self.faults)

    def tables(self, key: str) -> "list[tuple[str, Table]]":
        """The named tables below `key`, in the order of the file."""
        outer = self.table(key)
        if outer is None:
            return []
        found = []
        for name, value in outer.values.items():
            if isinstance(value, dict):
                found.append((name, Table(value, (*outer.path, name), self.faults)))
            else:
                outer.wrong(name, f"expected a table, found {quoted(value)}")
        return found

    def rows(self, key: str) -> "list[Table]":
        """The tables of an array (`[[rule]]`)."""
        value = self._take(key, list, "an array of tables", [])
        found = []
        for index, item in enumerate(value):
            if isinstance(item, dict):
                found.append(Table(item, (*self.path, key, index), self.faults))
            else:
                self.wrong(key, f"expected an array of tables, found {quoted(item)}")
        return found

    def any(self, key: str) -> object:
        self.taken.append(key)
        return self.values.get(key)

    def need(self, key: str, why: str) -> None:
        if key not in self.values:
            self.faults.add(self.path, f"expected `{key}`, found none; {why}")

    def wrong(self, key: str, text: str) -> None:
        self.faults.add((*self.path, key), text)

    def close(self) -> None:
        known = list(dict.fromkeys(self.taken))
        for key in self.values:
            if key not in known:
                near = nearest(key, known) or f"; it may have {', '.join(known)}"
                # What stands below a secret may be the secret: its value is never repeated.
                value = "" if self.path[:1] == ("secrets",) else f", with the value {quoted(self.values[key])}"
                self.wrong(key, f"unknown key{value}{near}")

    def _take(self, key: str, kind: type, expected: str, default: Any) -> Any:
        self.taken.append(key)
        if key not in self.values:
            return default
        value = self.values[key]
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            self.wrong(key, f"expected {expected}, found {quoted(value)}")
            return default
        return value


def read_toml(source: str, text: str, read: Callable[[Table], T]) -> T:
    """`read` over the file's top table. Raises: `UsageError` with every fault, one line each."""
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        where = re.search(r"line (\d+)", str(error))
        raise UsageError(f"{source}:{where.group(1) if where else 1}: not valid TOML: {error}") from None
    faults = Faults(source, _lines(text))
    top = Table(values, (), faults)
    result = read(top)
    top.close()
    faults.raise_any()
    return result


def quoted(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def nearest(word: str, known: Iterable[str]) -> str:
    """`; did you mean …?`, empty when nothing is near."""
    close = get_close_matches(word[:80].lower(), list(known), n=1, cutoff=0.6)
    return f"; did you mean `{close[0]}`?" if close else ""


def shown_path(path: Path) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else ("." if text else "") + part
    return text


def _lines(text: str) -> dict[Path, int]:
    lines: dict[Path, int] = {}
    counts: dict[Path, int] = {}
    here: Path = ()
    for number, line in enumerate(text.splitlines(), 1):
        header = _HEADER.match(line)
        if header is not None and "=" not in header.group(2):
            here = _parts(header.group(2))
            if header.group(1) == "[[":
                counts[here] = counts.get(here, -1) + 1
                lines.setdefault(here, number)
                here = (*here, counts[here])
            elif here[:1] and (here[0],) in counts:
                here = (here[0], counts[(here[0],)], *here[1:])
            lines.setdefault(here, number)
            continue
        key = _KEY.match(line)
        if key is not None:
            lines.setdefault((*here, *_parts(key.group(1))), number)
    return lines


def _parts(dotted: str) -> Path:
    return tuple(next(part for part in match.groups() if part is not None) for match in _PART.finditer(dotted))
