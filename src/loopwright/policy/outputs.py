"""What past calls brought back, as labelled leaves: who wrote a value (`system` or anybody) and what it may be used as.

An output is read once and remembered by its text: a decision over two hundred past calls must stay far below a millisecond.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import msgspec

from loopwright.policy.values import Json, OutputField, PastCall, ToolSpec

__all__ = ["Leaf", "Seen", "holds", "leaves", "leaves_of", "seen_in"]

_INDEX = re.compile(r"\[\d+\]")
_MOST_LEAVES = 20_000


@dataclass(frozen=True, slots=True)
class Leaf:
    """A value at `path` (`items[3].sender`). `item` is the path of the innermost object of a list that holds it, `""` for none."""

    path: str
    text: str
    item: str


@dataclass(frozen=True, slots=True)
class Seen:
    """A leaf with its label and the call that brought it."""

    call: PastCall
    leaf: Leaf
    field: OutputField


def leaves_of(value: Json) -> tuple[Leaf, ...]:
    """Every text and number of a JSON value with its path, objects' keys not included."""
    found: list[Leaf] = []
    for leaf in _walk(value, "", ""):
        found.append(leaf)
        if len(found) >= _MOST_LEAVES:
            break
    return tuple(found)


@lru_cache(maxsize=2048)
def leaves(output: str) -> tuple[Leaf, ...]:
    """The leaves of an output given as JSON text; text that is no JSON is one leaf."""
    if not output:
        return ()
    try:
        value = msgspec.json.decode(output)
    except (msgspec.DecodeError, RecursionError):
        value = output
    return leaves_of(value)


def holds(output: str, text: str) -> bool:
    """A cheap first look: whether the JSON text can hold `text` at all."""
    return (
        text in output or msgspec.json.encode(text).decode()[1:-1] in output or (not text.isascii() and "\\u" in output)
    )


def seen_in(call: PastCall, spec: ToolSpec | None) -> Iterator[Seen]:
    """The leaves that `call` brought, labelled. A tool that is not in the manifest any more has only untrusted output."""
    for leaf in leaves(call.output):
        yield Seen(call, leaf, label(spec, leaf.path))


def label(spec: ToolSpec | None, path: str) -> OutputField:
    """The declared field that `path` falls under, the deepest one; else what the tool says of its output as a whole."""
    general = _INDEX.sub("[]", path)
    best: OutputField | None = None
    for field in spec.output if spec is not None else ():
        if _under(general, field.path) and (best is None or len(field.path) > len(best.path)):
            best = field
    if best is not None:
        return best
    if spec is None:
        return OutputField("", "free", private=True)
    return OutputField("", "free" if spec.untrusted_output else "system", private=spec.private_output)


def _under(path: str, field: str) -> bool:
    return not field or path == field or (path.startswith(field) and path[len(field)] in ".[")


def _walk(value: Json, path: str, item: str) -> Iterator[Leaf]:
    if isinstance(value, dict):
        for key, inner in value.items():
            # A key that looks like a path must not borrow the label of another field.
            name = repr(key) if not key or any(c in key for c in ".[]") else key
            yield from _walk(inner, f"{path}.{name}" if path else name, item)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            at = f"{path}[{index}]"
            yield from _walk(inner, at, at if isinstance(inner, dict) else item)
    elif isinstance(value, str):
        if value:
            yield Leaf(path, value, item)
    elif value is not None and not isinstance(value, bool):
        yield Leaf(path, number(value), item)


def number(value: float) -> str:
    """A number as people write it: `50.0` is `50`."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() and abs(value) < 1e15 else str(value)
