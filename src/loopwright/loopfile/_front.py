"""From text to nodes that know their line: the front matter as a small tree, the goal as text.

YAML is read as events and not as values: values would already have lost the lines, the quotes, the anchors and the tags, and
would have turned `on` into true, `017` into 15 and `2.10` into a binary fraction.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import yaml
from yaml.events import (
    AliasEvent,
    CollectionStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
)

from loopwright.loopfile._report import Refused, Report, quoted

__all__ = ["Entry", "Front", "Listing", "Mapping", "Node", "Scalar", "describe", "split"]

_FENCE = "---"
_MAX_DEPTH = 12
# Characters that YAML refuses or takes for a line break: its line numbers would no longer be the file's.
_UNREADABLE = re.compile("[^\t\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Scalar:
    """`plain`: without quotes, so that YAML gives it a meaning of its own (`on`, `1_000`, nothing at all)."""

    line: int
    text: str
    plain: bool


@dataclass(frozen=True, slots=True)
class Listing:
    line: int
    items: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Entry:
    key: str
    line: int
    value: "Node"


@dataclass(frozen=True, slots=True)
class Mapping:
    """`entries` in the order of the file, a key that stands there twice included."""

    line: int
    entries: tuple[Entry, ...]


Node = Scalar | Listing | Mapping


@dataclass(frozen=True, slots=True)
class Front:
    root: Mapping
    goal: str
    goal_line: int


def split(text: str, report: Report) -> Front:
    """`text` with `\\n` line ends and no byte order mark. Raises: `Refused`."""
    lines = text.split("\n")
    if lines[0].rstrip() != _FENCE:
        found = quoted(lines[0]) if lines[0].strip() else "an empty line"
        raise report.refused(1, "", f"expected the front matter to open with '---' on the first line, found {found}")
    closing = next((at for at, line in enumerate(lines[1:], 1) if line.rstrip() == _FENCE), None)
    if closing is None:
        raise report.refused(1, "", "the front matter that opens here is never closed; put a line '---' above the goal")
    return Front(
        root=_read_yaml(lines[1:closing], report), goal="\n".join(lines[closing + 1 :]).strip(), goal_line=closing + 1
    )


def describe(node: Node) -> str:
    """What stands there, for a message that said what was expected."""
    if isinstance(node, Mapping):
        return "a mapping"
    if isinstance(node, Listing):
        return "a list"
    if node.plain and not node.text:
        return "nothing"
    return quoted(node.text)


def _read_yaml(lines: list[str], report: Report) -> Mapping:
    readable = True
    for number, line in enumerate(lines, 2):
        if "\t" in line[: len(line) - len(line.lstrip())]:
            report.add(number, "", "starts with a tab; indent with spaces")
            readable = False
        elif odd := _UNREADABLE.search(line):
            report.add(number, "", f"contains the invisible character U+{ord(odd[0]):04X}; remove it")
            readable = False
    if not readable:
        raise Refused
    try:
        root = _Tree("\n".join(lines) + "\n", report).root()
    except yaml.MarkedYAMLError as error:
        # An open quote swallows the rest: its problem is where it opens and not where the file ends.
        quote = "quoted scalar" in (error.context or "")
        mark = error.context_mark if quote else error.problem_mark or error.context_mark
        raise report.refused((mark.line if mark else 0) + 2, "", _explain(error)) from None
    if isinstance(root, Scalar) and root.plain and not root.text:
        return Mapping(1, ())
    if not isinstance(root, Mapping):
        raise report.refused(root.line, "", f"expected the front matter to be keys with values, found {describe(root)}")
    return root


def _explain(error: yaml.MarkedYAMLError) -> str:
    problem, context = error.problem or "", error.context or ""
    if "alias" in context or "anchor" in context:
        return "a value that starts with '*' or '&' must be quoted, as in \"*/15 * * * *\""
    if "mapping values are not allowed" in problem:
        return "a second ':' in this line; quote the value, or put the key on a line of its own"
    if "'\\t'" in problem:
        return "a tab stands where YAML wants spaces"
    if "cannot start any token" in problem:
        return f"{problem.removeprefix('found ')}; quote the value"
    if "quoted scalar" in context:
        return f"the quote that opens here cannot be read: {problem}"
    opened_at = f", in what opens on line {error.context_mark.line + 2}" if error.context_mark else ""
    return " ".join(f"not readable as YAML: {problem or context}{opened_at}".split())


class _Tree:
    """Builds the nodes. Refuses what makes a value depend on another place: anchors, aliases, tags, a second document."""

    def __init__(self, text: str, report: Report) -> None:
        self._events: Iterator[Event] = iter(yaml.parse(text, Loader=yaml.SafeLoader))
        self._report = report

    def root(self) -> Node:
        node: Node = Scalar(1, "", plain=True)
        documents = 0
        for event in self._events:
            if isinstance(event, AliasEvent | ScalarEvent | CollectionStartEvent):
                documents += 1
                if documents > 1:
                    raise self._refused(event, "a second YAML document starts here; expected one")
                node = self._node(event, 0)
        return node

    def _refused(self, event: Event, text: str) -> Refused:
        return self._report.refused(_line(event), "", text)

    def _node(self, event: Event, depth: int) -> Node:
        if depth > _MAX_DEPTH:
            raise self._refused(event, f"nested more than {_MAX_DEPTH} deep")
        if isinstance(event, AliasEvent) or getattr(event, "anchor", None) is not None:
            raise self._refused(event, "anchors and aliases ('&', '*') are not read; write the value out, or quote it")
        if getattr(event, "tag", None) is not None:
            raise self._refused(event, "tags ('!') are not read; write the plain value, or quote it")
        if isinstance(event, ScalarEvent):
            return Scalar(_line(event), event.value, plain=event.implicit[0])
        if isinstance(event, MappingStartEvent):
            return Mapping(_line(event), tuple(self._entries(depth)))
        return Listing(_line(event), tuple(self._items(depth)))

    def _items(self, depth: int) -> Iterator[Node]:
        while not isinstance(event := next(self._events), SequenceEndEvent):
            yield self._node(event, depth + 1)

    def _entries(self, depth: int) -> Iterator[Entry]:
        while not isinstance(event := next(self._events), MappingEndEvent):
            key = self._node(event, depth + 1)
            if not isinstance(key, Scalar):
                raise self._refused(event, f"a key must be a word, found {describe(key)}")
            yield Entry(key.text, key.line, self._node(next(self._events), depth + 1))


def _line(event: Event) -> int:
    # Line 1 of the file is the opening fence, and YAML counts from 0.
    return event.start_mark.line + 2 if event.start_mark else 1
