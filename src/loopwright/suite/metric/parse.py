"""What a command printed → its numbers. Pure, and closed to doubt: what is not surely one finite number is no number.

A line counts when it is `METRIC name=0.99` (several pairs may follow each other), `name: 0.99` or one JSON object with the name as a
key. `METRIC` wins over the other two wherever it stands, because a training may log `loss: 2.3` all the way; among equals the last
line counts, also when it holds no number: a run that ends with `loss: diverged` has not scored what it logged before.
"""

import difflib
import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from loopwright.kernel.sample import Reading, Sample

__all__ = ["parse_metric", "printable"]

_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_LINE_END = re.compile(r"[\r\n]+")  # a progress bar draws its lines over each other with \r
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[+-]?(?:nan|inf|infinity)", re.IGNORECASE)
_WRAPPED = re.compile(r"(?:[a-z_]+\.)*[a-z_]+[0-9]*\([^)]*\)", re.IGNORECASE)
_NAMED = re.compile(r"(?:METRIC\s+)?([^\W\d][^:=\s]{0,99})\s*[:=]\s*[+-]?(?:[0-9.]|nan|inf)", re.IGNORECASE)
_METRIC = re.compile(r"METRIC\s+")

_LINE_CHARS = 2_000
_JSON_CHARS = 1 << 16
"""A longer line is no metric line; reading it as JSON would cost time and depth that a hostile program chooses."""
_SHOWN_CHARS = 80
_NAMES_SHOWN = 5
_LINES_FOR_NAMES = 2_000
_LAST_LINES = 3


@dataclass(frozen=True, slots=True)
class _Found:
    """The text that stands where the number belongs. `rank`: 1 for a `METRIC` line, 0 for the others."""

    rank: int
    text: str


class _Literal(str):
    """A number of a JSON line as the text that stood there, to be told from a string in quotes."""

    __slots__ = ()


def parse_metric(text: str, name: str, others: Sequence[str] = ()) -> Sample:
    """The numbers that a command printed, in their own units: that of `name` as the value, those of `others` (its bounds' names) as
    readings. Without `wall_ms` and `output`, which are not in the text.

    `missing`: a name of them was never printed. `invalid`: the line that counts holds no finite number: NaN, infinity, a percent sign,
    a decimal comma, `1_000`, a unit. The message says what was found and what to print instead.
    """
    lines = _lines(text)
    readings: list[Reading] = []
    for wanted in (name, *dict.fromkeys(o for o in others if o != name)):
        found = _last(lines, wanted)
        if found is None:
            bound = "" if wanted == name else "a bound needs it and "
            return Sample("missing", message=f"{wanted}: {bound}{_never(lines, wanted)}")
        number = _number(found.text)
        if isinstance(number, str):
            return Sample("invalid", message=f"{wanted}: expected a number, found {printable(found.text)!r}: {number}")
        readings.append(Reading(wanted, number))
    return Sample("ok", readings[0].value, tuple(readings[1:]))


def printable(text: str, most_chars: int = _SHOWN_CHARS) -> str:
    """`text` as a part of one line that can be shown: no colours, no control characters, at most `most_chars`."""
    shown = (
        char if char.isprintable() and char != "\ufffd" else " " for char in _ANSI.sub("", text[: 20 * most_chars])
    )
    plain = " ".join("".join(shown).split())
    return plain if len(plain) <= most_chars else f"{plain[: most_chars - 1]}…"


def _lines(text: str) -> list[str]:
    return [line for raw in _LINE_END.split(_ANSI.sub("", text)) if (line := raw.strip()) and len(line) <= _JSON_CHARS]


def _last(lines: Sequence[str], name: str) -> _Found | None:
    best: _Found | None = None
    for line in lines:
        found = _in_line(line, name)
        if found is not None and (best is None or found.rank >= best.rank):
            best = found
    return best


def _in_line(line: str, name: str) -> _Found | None:
    if line.startswith("{"):
        value = _from_json(line, name)
        return None if value is None else _Found(0, value)
    if len(line) > _LINE_CHARS:
        return None
    if start := _METRIC.match(line):
        value = _from_pairs(line[start.end() :], name)
        return None if value is None else _Found(1, value)
    # The whole name and nothing but it: `loss` is not the beginning of `loss_total: 3` and not the end of `val loss: 3`.
    if line.startswith(name) and (rest := line[len(name) :].lstrip()).startswith(":"):
        return _Found(0, rest[1:].strip())
    return None


def _from_pairs(rest: str, name: str) -> str | None:
    """Of `a=1 b=2`, or of `a name with spaces = 1`."""
    words = rest.split()
    if len(words) > 1 and all("=" in word.strip("=") for word in words):
        values = [value for key, _, value in (word.partition("=") for word in words) if key == name]
        return values[-1].rstrip(",;") if values else None
    if rest.startswith(name) and (value := rest[len(name) :].lstrip())[:1] in {"=", ":"}:
        return value[1:].strip()
    return None


def _from_json(line: str, name: str) -> str | None:
    if name not in line and json.dumps(name)[1:-1] not in line:
        return None
    try:
        found = json.loads(line, parse_float=_Literal, parse_int=_Literal, parse_constant=_Literal)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or name not in found:
        return None
    value: object = found[name]
    if isinstance(value, list | dict):
        return "[…]" if isinstance(value, list) else "{…}"
    return str(value) if isinstance(value, _Literal) else json.dumps(value)


def _number(text: str) -> float | str:
    """The finite number, or what is wrong with `text` and what to print instead."""
    if _NUMBER.fullmatch(text):
        value = float(text)
        return value if math.isfinite(value) else "too large to be told from infinity"
    if _NOT_FINITE.fullmatch(text):
        return "not finite, so this run has no score"
    if not text:
        return "nothing stands behind the name"
    if text.endswith("%"):
        return "print it without the percent sign"
    if re.fullmatch(r"[+-]?[0-9]+,[0-9]+", text):
        return "print it with a point and without a comma, like 0.93"
    if re.fullmatch(r"[+-]?[0-9][0-9_,.' ]*", text):
        return "print it without separators between its digits, like 1000.5"
    if _WRAPPED.fullmatch(text):
        return "print the number alone, like float(x)"
    if _NUMBER.match(text):
        return "print the number alone; a unit belongs in the name"
    return "print the number alone, like 0.93"


def _never(lines: Sequence[str], name: str) -> str:
    """Why there is no number, with what was printed instead."""
    said = f"no line `METRIC {name}=…` or `{name}: …` was printed"
    names = list(dict.fromkeys(_names(lines)))
    if name in names:
        return f"{said}; found `{name}=…` without METRIC before it: put it there"
    by_case = {n.casefold(): n for n in names}
    near = difflib.get_close_matches(name.casefold(), by_case, n=1, cutoff=0.5)
    if near:
        return f"{said}; found {by_case[near[0]]!r}; did you mean that?"
    if names:
        more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
        return f"{said}; found only {', '.join(map(repr, names[:_NAMES_SHOWN]))}{more}"
    shown = " | ".join(printable(line) for line in lines[-_LAST_LINES:])
    return f"{said}; the last that was printed: {shown}" if shown else f"{said}; nothing was printed at all"


def _names(lines: Sequence[str]) -> Iterator[str]:
    """The names that numbers were printed for, the latest first."""
    for line in reversed(lines[-_LINES_FOR_NAMES:]):
        if line.startswith("{"):
            yield from _json_names(line)
        elif len(line) <= _LINE_CHARS and (found := _NAMED.match(line)):
            yield found[1]


def _json_names(line: str) -> Iterator[str]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return
    if isinstance(found, dict):
        yield from (
            key for key, value in found.items() if isinstance(value, int | float) and not isinstance(value, bool)
        )
