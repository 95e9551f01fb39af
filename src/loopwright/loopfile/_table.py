"""How a mapping of the loop file is described: one class body a mapping, one line a key.

Parser, error messages, JSON schema and reference all follow from these tables, so none of them can disagree with another.
"""

from collections.abc import Callable
from collections.abc import Mapping as Dict
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, cast

from loopwright.loopfile._front import Entry, Listing, Mapping, Node, Scalar, describe
from loopwright.loopfile._report import Refused, Report, nearest, quoted

__all__ = ["NO_FIELDS", "Fields", "Key", "Kind", "ListOf", "OneOf", "Record", "Schema", "Table"]

Schema = dict[str, object]
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Kind(Protocol[T_co]):
    """What a value may be. `words` says it in a message and in the reference ("a whole number above 0")."""

    @property
    def words(self) -> str: ...

    def read(self, node: Node, at: str, report: Report) -> T_co:
        """Raises: `Refused`, with the problem in `report`."""
        ...

    def schema(self) -> Schema: ...


class Key(Generic[T_co]):
    """One key of a mapping. `absent` says what its absence means; `default` is that value where it is one fixed value."""

    def __init__(
        self, kind: Kind[T_co], meaning: str, *, default: T_co | None = None, absent: str = "", required: bool = False
    ) -> None:
        self.name = ""
        self.kind = kind
        self.meaning = meaning
        self.default = default
        self.absent = absent
        self.required = required

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name


class Table:
    """Base of the key tables: its class attributes are the keys, in the order of the reference."""

    @classmethod
    def rows(cls) -> tuple[Key[object], ...]:
        return tuple(value for value in vars(cls).values() if isinstance(value, Key))


class Fields:
    """The values that were read for the keys of one table."""

    def __init__(self, values: Dict[str, object]) -> None:
        self._values = values

    def get(self, key: Key[T]) -> T | None:
        """The value, else the key's default, else `None`."""
        return cast("T | None", self._values.get(key.name, key.default))

    def __getitem__(self, key: Key[T]) -> T:
        """The value of a key that is required or has a default."""
        value = self.get(key)
        assert value is not None, key.name
        return value


NO_FIELDS = Fields({})
"""A mapping that is not there: every key has its default."""


@dataclass(frozen=True)
class Record(Generic[T]):
    """A mapping with the keys of `table`.

    With `short`, a lone value stands for that key: `tests: "make test"`. Of the keys in `any_of`, one at least must be there.
    """

    table: type[Table]
    make: Callable[[Fields], T]
    short: Key[object] | None = None
    any_of: tuple[Key[object], ...] = ()

    @property
    def bare(self) -> bool:
        """Whether it can be written without any value (`act: [repair]`)."""
        return not self.any_of and not any(key.required for key in self.table.rows())

    @property
    def words(self) -> str:
        keys = f"a mapping of {', '.join(key.name for key in self.table.rows())}"
        return f"{self.short.kind.words}, or {keys}" if self.short else keys

    def read(self, node: Node, at: str, report: Report) -> T:
        if isinstance(node, Mapping):
            fields = _read_fields(self.table.rows(), node, at, report)
            if self.any_of and all(fields.get(key) is None for key in self.any_of):
                needed = " or ".join(repr(key.name) for key in self.any_of)
                raise report.refused(node.line, at, f"needs {needed}")
            return self.make(fields)
        if self.short is not None and not isinstance(node, Listing):
            value = self.short.kind.read(node, at, report)
            return self.make(Fields({self.short.name: value}))
        if self.bare and isinstance(node, Scalar) and node.plain and not node.text:
            return self.make(NO_FIELDS)
        raise report.refused(node.line, at, f"expected {self.words}, found {describe(node)}")

    def schema(self) -> Schema:
        own = _mapping_schema(self.table.rows(), self.table.rows())
        if self.any_of:
            own["anyOf"] = [{"required": [key.name]} for key in self.any_of]
        ways = [own]
        if self.short:
            ways.insert(0, self.short.kind.schema())
        elif self.bare:
            ways.append({"type": "null"})
        return own if len(ways) == 1 else {"anyOf": ways}


@dataclass(frozen=True)
class Lead:
    """One alternative of `OneOf`: `key` names it and its kind reads the whole value; `more` are keys that may stand beside it."""

    key: Key[object]
    more: tuple[Key[object], ...]

    @property
    def bare(self) -> bool:
        return isinstance(self.key.kind, Record) and self.key.kind.bare


class OneOf(Generic[T]):
    """A mapping with exactly one of the keys of `table`, whose kind makes the value.

    Keys in `beside` go along with one of them (`timezone` with `cron`); `finish` puts what they say into the value.
    """

    def __init__(
        self,
        table: type[Table],
        *,
        beside: Dict[Key[object], Key[object]] | None = None,
        finish: Callable[[T, Fields], T] | None = None,
    ) -> None:
        self.table = table
        self._beside = dict(beside or {})
        self._finish = finish
        self._leads = {
            key.name: Lead(key, tuple(more for more, lead in self._beside.items() if lead is key))
            for key in table.rows()
            if key not in self._beside
        }

    @property
    def bare(self) -> tuple[str, ...]:
        """The keys that may stand as a word, without a value."""
        return tuple(name for name, lead in self._leads.items() if lead.bare)

    @property
    def words(self) -> str:
        return f"one of {', '.join(self._leads)}"

    def read(self, node: Node, at: str, report: Report) -> T:
        if isinstance(node, Scalar) and node.text:
            return self._read_bare(node, at, report)
        if not isinstance(node, Mapping):
            raise report.refused(node.line, at, f"expected {self.words}, found {describe(node)}")
        found = [entry for entry in node.entries if entry.key in self._leads]
        if not found:
            raise self._without_lead(node, at, report)
        if (second := next((entry for entry in found[1:] if entry.key != found[0].key), None)) is not None:
            text = f"'{found[0].key}' stands here already; put '{second.key}' into an item of its own"
            raise report.refused(second.line, f"{at}.{second.key}", text)
        lead = self._leads[found[0].key]
        return self._value(lead, _read_fields((lead.key, *lead.more), node, at, report))

    def _read_bare(self, node: Scalar, at: str, report: Report) -> T:
        lead = self._leads.get(node.text)
        if lead is None:
            raise report.refused(node.line, at, _unknown("value", node.text, self._leads))
        if not lead.bare:
            raise report.refused(
                node.line, at, f"{node.text!r} needs a value, {{{node.text}: …}}; expected {lead.key.kind.words}"
            )
        empty = Mapping(node.line, (Entry(node.text, node.line, Scalar(node.line, "", plain=True)),))
        return self._value(lead, _read_fields((lead.key,), empty, at, report))

    def _value(self, lead: Lead, fields: Fields) -> T:
        value = cast("T", fields[lead.key])
        return self._finish(value, fields) if self._finish else value

    def _without_lead(self, node: Mapping, at: str, report: Report) -> Refused:
        if not node.entries:
            return report.refused(node.line, at, f"expected {self.words}, found an empty mapping")
        entry = node.entries[0]
        beside = next((lead.name for more, lead in self._beside.items() if more.name == entry.key), None)
        if beside is not None:
            return report.refused(entry.line, f"{at}.{entry.key}", f"stands alone; it goes along with '{beside}'")
        return report.refused(entry.line, f"{at}.{entry.key}", _unknown("key", entry.key, self._leads))

    def schema(self) -> Schema:
        ways: list[Schema] = []
        if self.bare:
            ways.append({"enum": list(self.bare)})
        for lead in self._leads.values():
            ways.append(_mapping_schema((lead.key, *lead.more), (lead.key,), needed=(lead.key.name,)))
        return {"anyOf": ways}


@dataclass(frozen=True)
class ListOf(Generic[T]):
    """`least` items at least; `one` names an item in messages."""

    item: Kind[T]
    one: str
    least: int = 0

    @property
    def words(self) -> str:
        return f"a list of {self.one}"

    def read(self, node: Node, at: str, report: Report) -> tuple[T, ...]:
        if not isinstance(node, Listing):
            raise report.refused(node.line, at, f"expected {self.words} in [ ], found {describe(node)}")
        if len(node.items) < self.least:
            raise report.refused(node.line, at, f"is an empty list; expected {self.words}")
        values: list[T] = []
        for number, item in enumerate(node.items):
            try:
                values.append(self.item.read(item, f"{at}[{number}]", report))
            except Refused:
                continue
        if len(values) < len(node.items):
            raise Refused
        return tuple(values)

    def schema(self) -> Schema:
        out: Schema = {"type": "array", "items": self.item.schema()}
        return {**out, "minItems": self.least} if self.least else out


def _read_fields(keys: tuple[Key[object], ...], node: Mapping, at: str, report: Report) -> Fields:
    by_name = {key.name: key for key in keys}
    prefix = f"{at}." if at else ""
    values: dict[str, object] = {}
    seen: dict[str, int] = {}
    misspelt: set[str | None] = set()
    refused = False
    for entry in node.entries:
        path = f"{prefix}{entry.key if entry.key.isprintable() and len(entry.key) <= 60 else quoted(entry.key)}"
        key = by_name.get(entry.key)
        try:
            if key is None:
                misspelt.add(nearest(entry.key, by_name))
                raise report.refused(entry.line, path, _unknown("key", entry.key, by_name))
            if entry.key in seen:
                raise report.refused(entry.line, path, f"stands here twice, first on line {seen[entry.key]}; keep one")
            seen[entry.key] = entry.line
            values[entry.key] = key.kind.read(entry.value, path, report)
        except Refused:
            refused = True
    for key in keys:
        # A required key that is misspelt is one mistake and not two.
        if key.required and key.name not in seen and key.name not in misspelt:
            report.add(node.line, f"{prefix}{key.name}", f"is missing; expected {key.kind.words}")
            refused = True
    if refused:
        raise Refused
    return Fields(values)


def _unknown(what: str, found: str, known: Dict[str, object]) -> str:
    near = nearest(found, known)
    meant = f"; did you mean {near!r}?" if near else ""
    return f"unknown {what} {quoted(found)}{meant} (known: {', '.join(known)})"


def _mapping_schema(
    keys: tuple[Key[object], ...], required_of: tuple[Key[object], ...], *, needed: tuple[str, ...] = ()
) -> Schema:
    required = [key.name for key in required_of if key.required or key.name in needed]
    out: Schema = {
        "type": "object",
        "additionalProperties": False,
        "properties": {key.name: {**key.kind.schema(), "description": key.meaning} for key in keys},
    }
    return {**out, "required": required} if required else out
