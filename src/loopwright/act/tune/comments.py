"""`# tune:` comments: what the author of a file says may be turned, and how far. Pure.

LR = 3e-4                        # tune: lr in [1e-4, 1e-1] log
train(depth=4, act="relu")       # tune: depth in {2, 4, 8}; act in {"relu", "tanh"}
N = 16                           # tune: [1, 64] int step 3
"""

import ast
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from loopwright.act.tune.places import Place, Setting
from loopwright.act.tune.space import Space, same
from loopwright.act.tune.text import Text
from loopwright.act.tune.words import words
from loopwright.errors import ActionError

__all__ = ["MARK", "Marked", "marked"]

MARK = re.compile(r"#\s*tune\s*:(?P<said>.*)$", re.IGNORECASE)
_CLAUSE = re.compile(
    r"^\s*(?:(?P<name>[A-Za-z_][\w.]*)\s+in\b|in\b)?\s*(?P<range>\[[^\[\]]*\]|\{.*\})\s*(?P<flags>[^\[\]{}]*?)\s*$"
)
_FLAGS = re.compile(r"^(?P<log>log)?\s*(?P<int>int)?\s*(?:step\s+(?P<step>\S+))?\s*(?P<late>log)?$")


@dataclass(frozen=True, slots=True)
class Marked:
    """A literal and the space that its comment gives it. `label` is the comment's name for it, else the code's."""

    place: Place
    label: str
    space: Space


def marked(text: Text, found: Sequence[Place]) -> tuple[Marked, ...]:
    """What the comments of a file mark; empty when it has none.

    Raises: `ActionError`, one line with file, line and a comment that would be right.
    """
    result: list[Marked] = []
    for line, comment in text.comments():
        said = MARK.search(comment)
        if said is None:
            continue
        on_line = [p for p in found if p.line == line]
        for clause in _clauses(said["said"]):
            result.append(_mark(text, line, clause, on_line))
    taken: set[str] = set()
    for mark in result:
        if mark.place.key in taken:
            raise _fault(text, mark.place.line, f"{mark.label!r} is marked twice", [mark.place])
        taken.add(mark.place.key)
    return tuple(result)


def _clauses(said: str) -> list[str]:
    """Split at `;`, but not inside the quotes of a string choice."""
    parts = re.split(r""";(?=(?:[^"']|"[^"]*"|'[^']*')*$)""", said)
    return [p for p in parts if p.strip()] or [said]


def _mark(text: Text, line: int, clause: str, on_line: list[Place]) -> Marked:
    if not on_line:
        raise _fault(text, line, "there is no number, boolean or string on this line", on_line)
    parsed = _CLAUSE.match(clause)
    if parsed is None:
        raise _fault(text, line, f"cannot read {clause.strip()!r}", on_line)
    place = _chosen(text, line, parsed["name"], on_line)
    flags = _FLAGS.match(parsed["flags"].strip())
    if flags is None:
        raise _fault(
            text, line, f"cannot read {parsed['flags']!r} after the range; expected log, int or step N", [place]
        )
    if parsed["range"].startswith("{"):
        if parsed["flags"].strip():
            raise _fault(text, line, f"a set of values takes no {parsed['flags']!r}", [place])
        space = _set(text, line, parsed["range"], place)
    else:
        space = _range(text, line, parsed["range"], flags, place)
    return Marked(place, parsed["name"] or place.name or "value", space)


def _chosen(text: Text, line: int, name: str | None, on_line: list[Place]) -> Place:
    if len(on_line) == 1:
        return on_line[0]
    if name is None:
        raise _fault(
            text, line, f"there are {len(on_line)} literals on this line and the comment does not name one", on_line
        )
    wanted = name.lower()
    fits = [p for p in on_line if p.name.lower() == wanted] or [p for p in on_line if wanted in words(p.name)]
    if len(fits) != 1:
        names = ", ".join(p.name for p in on_line if p.name) or "none that has a name"
        raise _fault(
            text, line, f"{name!r} names {len(fits) or 'none'} of the literals on this line ({names})", on_line
        )
    return fits[0]


def _range(text: Text, line: int, written: str, flags: re.Match[str], place: Place) -> Space:
    bounds = _values(text, line, f"({written[1:-1]},)", place)
    if len(bounds) != 2 or not all(_is_number(b) for b in bounds):
        raise _fault(text, line, f"expected two numbers in {written}", [place])
    low, high = (float(b) for b in bounds)
    if isinstance(place.value, bool | str):
        raise _fault(text, line, f"{place.written} is no number and cannot have the range {written}", [place])
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise _fault(text, line, f"the range {written} must go from the smaller to the larger number", [place])
    whole = isinstance(place.value, int)
    if whole and not all(isinstance(b, int) for b in bounds):
        raise _fault(
            text, line, f"{place.written} is a whole number and {written} is not; write {place.written}.0", [place]
        )
    if flags["int"] and not whole:
        raise _fault(text, line, f"{place.written} is no whole number, but the comment says int", [place])
    log = bool(flags["log"] or flags["late"])
    if log and low <= 0:
        raise _fault(text, line, f"a log range must be above 0, found {written}", [place])
    step = _step(text, line, flags["step"], low, high, place)
    if log and step is not None:
        raise _fault(text, line, "a range is either log or has a step", [place])
    return Space("int" if whole else "float", low, high, "log" if log else "linear", step, fixed=True)


def _step(text: Text, line: int, written: str | None, low: float, high: float, place: Place) -> float | None:
    if written is None:
        return None
    try:
        step = float(written)
    except ValueError:
        step = math.nan
    whole = isinstance(place.value, int)
    if not 0 < step <= high - low or (whole and step != round(step)):
        expected = "a whole number" if whole else "a number"
        raise _fault(text, line, f"the step {written!r} must be {expected} above 0 and within the range", [place])
    return step


def _set(text: Text, line: int, written: str, place: Place) -> Space:
    values = _values(text, line, f"({written[1:-1]},)", place)
    kind = type(place.value)
    if kind is float:
        values = tuple(float(v) if _is_number(v) else v for v in values)
    if len(values) < 2 or any(type(v) is not kind for v in values):
        raise _fault(text, line, f"expected two or more values like {place.written} in {written}", [place])
    if any(same(v, w) for i, v in enumerate(values) for w in values[:i]):
        raise _fault(text, line, f"a value stands twice in {written}", [place])
    numbers = kind in {int, float}
    return Space("choice", choices=tuple(sorted(values)) if numbers else values, ordered=numbers, fixed=True)


def _values(text: Text, line: int, written: str, place: Place) -> tuple[Setting, ...]:
    try:
        values = ast.literal_eval(written.replace("(,)", "()"))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        values = None
    if not isinstance(values, tuple) or not all(isinstance(v, bool | int | float | str) for v in values):
        raise _fault(text, line, f"cannot read the values {written[1:-2].strip()!r}", [place])
    if any(isinstance(v, float) and not math.isfinite(v) for v in values):
        raise _fault(text, line, f"expected finite numbers in {written[1:-2].strip()!r}", [place])
    return values


def _is_number(value: Setting) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _fault(text: Text, line: int, why: str, on_line: Sequence[Place]) -> ActionError:
    return ActionError(f"tune: {text.path}:{line}: {why}; write for example `{_example(on_line)}`")


def _example(on_line: Sequence[Place]) -> str:
    if not on_line:
        return "LR = 3e-4  # tune: LR in [1e-4, 1e-1] log"
    place = next((p for p in on_line if p.name), on_line[0])
    name = f"{place.name} in " if place.name else ""
    value = place.value
    if isinstance(value, bool):
        return f"# tune: {name}{{True, False}}"
    if isinstance(value, str):
        return f'# tune: {name}{{"{value[:20]}", "another"}}'
    if isinstance(value, int):
        return f"# tune: {name}[{min(1, value)}, {max(8, 4 * value)}] int"
    return (
        f"# tune: {name}[{value / 10:g}, {value * 10:g}] log"
        if value > 0
        else f"# tune: {name}[{value - 1:g}, {value + 1:g}]"
    )
