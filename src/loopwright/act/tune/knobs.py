"""Which literals of a file are knobs, and why the others are not. Pure."""

import ast
from collections.abc import Mapping
from dataclasses import dataclass

from loopwright.act.tune.choices import seen_choices
from loopwright.act.tune.comments import marked
from loopwright.act.tune.places import Place, Setting, places
from loopwright.act.tune.space import Space, default_space
from loopwright.act.tune.text import Text
from loopwright.act.tune.words import expected_effect, is_seed, why_callee, why_name

__all__ = ["Found", "Knob", "knobs"]

_SEED = "another seed is luck, not progress"
_LARGEST = 1 << 53
_MIN_CHOICES = 2


@dataclass(frozen=True, slots=True)
class Knob:
    """A literal that may be turned. `key` finds it again in another version of the file; `label` is for people, `text` as it is
    written."""

    key: str
    path: str
    label: str
    line: int
    value: Setting
    text: str
    space: Space
    effect: int


@dataclass(frozen=True, slots=True)
class Found:
    """`left_alone`: line, literal and reason of everything else. `commented`: the knobs are those that `# tune:` comments mark.

    `outside`: labels of knobs whose value lies outside of the range that its comment gives.
    """

    knobs: tuple[Knob, ...]
    left_alone: tuple[tuple[int, str, str], ...]
    commented: bool = False

    @property
    def outside(self) -> tuple[str, ...]:
        return tuple(k.label for k in self.knobs if not k.space.holds(k.value))


def knobs(text: Text) -> Found:
    """The knobs of one file in the order of the text; where comments mark some, only those.

    Raises: `ActionError` for a comment that cannot be understood.
    """
    every = places(text)
    marks = marked(text, every)
    left: list[tuple[int, str, str]] = []
    found: list[Knob] = []
    if marks:
        by_key = {m.place.key: m for m in marks}
        for place in every:
            mark = by_key.get(place.key)
            why = "a comment marks other literals" if mark is None else _never(place)
            if why is None and mark is not None:
                found.append(_knob(text, place, mark.label, mark.space))
            else:
                left.append((place.line, place.written[:60], why or ""))
        return Found(tuple(found), tuple(left), commented=True)
    choices, moving = seen_choices(text), _reassigned(text)
    for place in every:
        space = _space(place, choices)
        why = _why_not(place, text, moving, space)
        if why is None and space is not None:
            found.append(_knob(text, place, place.name, space))
        else:
            left.append((place.line, place.written[:60], why or ""))
    return Found(tuple(found), tuple(left))


def _knob(text: Text, place: Place, label: str, space: Space) -> Knob:
    return Knob(
        place.key,
        text.path,
        label,
        place.line,
        place.value,
        place.written,
        space,
        expected_effect(f"{place.name}_{label}"),
    )


def _never(place: Place) -> str | None:
    """What not even a comment can make a knob."""
    if is_seed(place.name, place.callee):
        return _SEED
    return _written_oddly(place)


def _why_not(place: Place, text: Text, moving: set[str], space: Space | None) -> str | None:
    if _is_docstring(place, text):
        return "it is a docstring"
    never = _never(place)
    if never is not None:
        return never
    if place.kind == "other":
        return "it is part of an expression and has no name of its own"
    if place.kind == "local":
        return "it is local to a function; a `# tune:` comment can mark it"
    if _in_main_block(place, text):
        return 'it stands under `if __name__ == "__main__"`'
    why = why_name(place.name) or (why_callee(place.callee) if place.callee else None)
    if why is not None:
        return why
    if (
        place.kind == "keyword"
        and place.callee.endswith(("add_argument", "field", "Field"))
        and _keyword(place, text) != "default"
    ):
        return "it describes an option and is not its value"
    if place.kind == "module" and place.name in moving:
        return "it is assigned again later: a running value"
    if isinstance(place.value, str):
        return _why_not_string(place.value) or ("no other choice of it is seen in the file" if space is None else None)
    if not isinstance(place.value, bool) and abs(place.value) > _LARGEST:
        return "it is too large to be a setting"
    return None


def _why_not_string(value: str) -> str | None:
    if any(c in value for c in "/\\") or value.startswith((".", "~")):
        return "it is a path"
    if "{" in value or "%" in value:
        return "it is a format"
    return None


def _written_oddly(place: Place) -> str | None:
    written = place.written.lower().lstrip("-").lstrip()
    if isinstance(place.value, str):
        return None if _is_plain_string(place) else "it is a string of several parts, or raw"
    if not isinstance(place.value, bool) and written.startswith(("0x", "0o", "0b")):
        return "it is a pattern of bits"
    return None


def _is_plain_string(place: Place) -> bool:
    """One literal without a prefix: implicit concatenation has one node and several tokens."""
    assert isinstance(place.value, str)
    written, quote = place.written, place.written[:1]
    return quote in {"'", '"'} and written[1:-1] == place.value and quote not in place.value


def _space(place: Place, choices: Mapping[str, tuple[str, ...]]) -> Space | None:
    """`None` for a string of which no other choice is known."""
    if not isinstance(place.value, str):
        if not isinstance(place.value, bool) and abs(place.value) > _LARGEST:
            return None
        return default_space(place.name, place.value)
    seen = tuple(dict.fromkeys([place.value, *choices.get(place.name.lower(), ())]))
    seen = tuple(c for c in seen if c.isprintable() and not set(c) & set("'\"\\"))
    if len(seen) < _MIN_CHOICES:
        return None
    return Space("choice", choices=tuple(sorted(seen)), ordered=False)


def _reassigned(text: Text) -> set[str]:
    """Names that are given more than one value, or moved by `+=`, or declared `global`."""
    stored: set[str] = set()
    moving: set[str] = set()
    for node in ast.walk(text.tree):
        if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            moving.add(node.target.id)
        elif isinstance(node, ast.Global):
            moving.update(node.names)
    for statement in _module_statements(text.tree.body):
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                (moving if node.id in stored else stored).add(node.id)
    return moving


def _module_statements(body: list[ast.stmt]) -> list[ast.stmt]:
    """The statements of the module, not those inside functions and classes."""
    return [s for s in body if not isinstance(s, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)]


def _is_docstring(place: Place, text: Text) -> bool:
    return isinstance(text.parents[place.node], ast.Expr)


def _in_main_block(place: Place, text: Text) -> bool:
    at: ast.AST | None = place.node
    while at is not None:
        if isinstance(at, ast.If) and any(isinstance(n, ast.Name) and n.id == "__name__" for n in ast.walk(at.test)):
            return True
        at = text.parents.get(at)
    return False


def _keyword(place: Place, text: Text) -> str:
    parent = text.parents[place.node]
    return parent.arg or "" if isinstance(parent, ast.keyword) else ""
