"""Kinds of single values that are words: text, commands, paths, choices. Numbers are in `_numbers`, foreign grammars in `_grammars`."""

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import yaml

from loopwright.loopfile._front import Listing, Node, Scalar, describe
from loopwright.loopfile._report import Report, nearest, quoted
from loopwright.loopfile._table import Kind, ListOf, Schema
from loopwright.workspace import patterns

__all__ = [
    "COMMAND",
    "LINE",
    "NAME",
    "PATH",
    "PATTERN",
    "YES_NO",
    "As",
    "Choice",
    "OneOrMore",
    "Text",
    "WordOr",
    "text_of",
]

S = TypeVar("S")
T = TypeVar("T")
_MAX_TEXT = 2000
_LIKE_NONE = {"", "~", "null", "off", "no", "false", "never", "nothing"}
_TAG = "tag:yaml.org,2002:"
_READ_AS = {"bool": "yes or no", "int": "a number", "float": "a number", "timestamp": "a date", "null": "nothing"}
_FIRST_OF_RESOLVERS: dict[str, list[tuple[str, re.Pattern[str]]]] = yaml.SafeLoader.yaml_implicit_resolvers


def read_as(node: Scalar) -> str | None:
    """What YAML 1.1 makes of an unquoted scalar when it is not text: "yes or no" for `on`, "a number" for `1_000`."""
    if not node.plain:
        return None
    first = node.text[:1]
    for tag, shape in [*_FIRST_OF_RESOLVERS.get(first, []), *_FIRST_OF_RESOLVERS.get("", [])]:
        if shape.match(node.text):
            return _READ_AS.get(tag.removeprefix(_TAG))
    return None


def text_of(node: Node, at: str, report: Report, words: str) -> str:
    """The text of a scalar that is text in every version of YAML. Raises: `Refused`."""
    if not isinstance(node, Scalar) or (node.plain and not node.text):
        raise report.refused(node.line, at, f"expected {words}, found {describe(node)}")
    if (other := read_as(node)) is not None:
        found = quoted(node.text)
        raise report.refused(
            node.line, at, f'expected {words}, found {found}, which YAML reads as {other}; write "{node.text[:60]}"'
        )
    return node.text


@dataclass(frozen=True)
class Text:
    """Text that `fault` finds nothing wrong with (it answers in words that follow the value). `shape` is for the schema.

    `hidden`: a faulty value is not shown, because it may be a secret that somebody put into the wrong place.
    """

    words: str
    fault: Callable[[str], str | None]
    shape: str | None = None
    longest: int = _MAX_TEXT
    hidden: bool = False

    def read(self, node: Node, at: str, report: Report) -> str:
        if self.hidden and isinstance(node, Scalar) and (fault := self.fault(node.text)) is not None:
            raise report.refused(node.line, at, fault)
        text = text_of(node, at, report, self.words)
        if not text.strip():
            raise report.refused(node.line, at, f"expected {self.words}, found an empty text")
        if len(text) > self.longest:
            raise report.refused(node.line, at, f"has {len(text)} characters; expected at most {self.longest}")
        if (fault := self.fault(text)) is not None:
            raise report.refused(node.line, at, f"{quoted(text)} {fault}")
        return text

    def schema(self) -> Schema:
        out: Schema = {"type": "string", "minLength": 1, "maxLength": self.longest}
        return {**out, "pattern": self.shape} if self.shape else out


@dataclass(frozen=True)
class Choice(Generic[T]):
    """One word of a few; `values` says what each becomes."""

    values: dict[str, T]

    @property
    def words(self) -> str:
        return " | ".join(self.values)

    def read(self, node: Node, at: str, report: Report) -> T:
        if not isinstance(node, Scalar) or node.text not in self.values:
            meant = nearest(node.text, self.values) if isinstance(node, Scalar) else None
            hint = f"; did you mean {meant!r}?" if meant else ""
            raise report.refused(node.line, at, f"expected {self.words}, found {describe(node)}{hint}")
        return self.values[node.text]

    def schema(self) -> Schema:
        return {"enum": list(self.values)}


@dataclass(frozen=True)
class WordOr(Generic[T]):
    """Either the one word (`none` in all cases so far), which becomes `value`, or what `other` reads."""

    word: str
    value: T
    other: Kind[T]

    @property
    def words(self) -> str:
        return f"{self.word} or {self.other.words}"

    def read(self, node: Node, at: str, report: Report) -> T:
        if isinstance(node, Scalar) and node.text == self.word:
            return self.value
        if isinstance(node, Scalar) and (node.text.lower() in _LIKE_NONE or nearest(node.text, [self.word])):
            raise report.refused(
                node.line, at, f"expected {self.words}, found {describe(node)}; did you mean {self.word!r}?"
            )
        return self.other.read(node, at, report)

    def schema(self) -> Schema:
        return {"anyOf": [{"const": self.word}, self.other.schema()]}


@dataclass(frozen=True)
class OneOrMore(Generic[T]):
    """One value, or a list of at least one."""

    item: Kind[T]
    one: str

    @property
    def words(self) -> str:
        return f"{self.item.words}, or a list of {self.one}"

    def read(self, node: Node, at: str, report: Report) -> tuple[T, ...]:
        if isinstance(node, Listing):
            return ListOf(self.item, self.one, least=1).read(node, at, report)
        return (self.item.read(node, at, report),)

    def schema(self) -> Schema:
        return {"anyOf": [self.item.schema(), ListOf(self.item, self.one, least=1).schema()]}


@dataclass(frozen=True)
class As(Generic[S, T]):
    """What `kind` reads, made into a value of the kernel."""

    kind: Kind[S]
    make: Callable[[S], T]

    @property
    def words(self) -> str:
        return self.kind.words

    def read(self, node: Node, at: str, report: Report) -> T:
        return self.make(self.kind.read(node, at, report))

    def schema(self) -> Schema:
        return self.kind.schema()


class YesNo:
    words = "true or false"

    def read(self, node: Node, at: str, report: Report) -> bool:
        if not isinstance(node, Scalar) or not node.plain or node.text not in {"true", "false"}:
            raise report.refused(node.line, at, f"expected {self.words}, found {describe(node)}")
        return node.text == "true"

    def schema(self) -> Schema:
        return {"type": "boolean"}


def _one_line(text: str) -> str | None:
    return (
        "is more than one line or holds a control character"
        if any(ord(c) < 32 or ord(c) == 127 for c in text)
        else None
    )


def _command(text: str) -> str | None:
    if (fault := _one_line(text)) is not None:
        return fault
    try:
        parts = shlex.split(text)
    except ValueError as error:
        return f"cannot be split into arguments: {str(error).lower()}"
    return None if parts and parts[0] else "names no program"


def _name(text: str) -> str | None:
    return None if re.fullmatch(_NAME, text) else "may only hold a-z, 0-9 and '-', and starts with a letter or digit"


def _path(text: str) -> str | None:
    fault = patterns.validate(text)
    if fault is None and any(c in text for c in "*?["):
        return "holds a wildcard; expected one path"
    return fault


_NAME = "[a-z0-9][a-z0-9-]*"
_RELATIVE = r"^(?![/~!])(?!(.*/)?\.\.(/|$))[^\\]+$"

NAME = Text("a name of a-z, 0-9 and '-'", _name, shape=f"^{_NAME}$", longest=40)
LINE = Text("a line of text", _one_line)
COMMAND = Text("a command line", _command)
PATH = Text("a path inside the repository", _path, shape=_RELATIVE, longest=300)
PATTERN = Text("a path pattern", patterns.validate, shape=_RELATIVE, longest=300)
YES_NO = YesNo()
