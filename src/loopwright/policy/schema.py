"""Arguments against a tool's declared schema. An argument that is not declared is refused even where JSON Schema would permit it."""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec

from loopwright.policy.values import Argument, Json, ToolSpec

__all__ = ["mismatch"]

_PLAIN_KEYS: Final = frozenset({"type", "description", "title", "default"})
_TYPES: Final[dict[str, Callable[[Json], bool]]] = {
    "string": lambda v: isinstance(v, str),
    "boolean": lambda v: isinstance(v, bool),
    "integer": lambda v: (isinstance(v, int) and not isinstance(v, bool)) or (isinstance(v, float) and v.is_integer()),
    "number": lambda v: isinstance(v, int | float) and not isinstance(v, bool),
    "object": lambda v: isinstance(v, dict),
    "array": lambda v: isinstance(v, list),
    "null": lambda v: v is None,
}
# A quantifier over a group that itself repeats can take for ever on a short text, and the pattern may be a hostile server's.
_EXPLOSIVE: Final = re.compile(r"[+*}]\??\)+[+*{]|\)[+*{].*\)[+*{]|\\[1-9]")


def mismatch(spec: ToolSpec, arguments: Mapping[str, Json]) -> str | None:
    """What of `arguments` does not fit, in one line; `None` when all does."""
    declared = {argument.name: argument for argument in spec.arguments}
    for name in arguments:
        if name not in declared:
            known = ", ".join(sorted(declared)) or "none"
            return f"argument {name!r}: expected one that {spec.name!r} declares ({known})"
    for argument in spec.arguments:
        if argument.name not in arguments:
            if argument.required:
                return f"argument {argument.name!r}: expected, found none"
        else:
            problem = _problem(argument, arguments[argument.name])
            if problem is not None:
                return f"argument {argument.name!r}: {problem}"
    return None


def _problem(argument: Argument, value: Json) -> str | None:
    return _checker(argument.schema)(value)


@lru_cache(maxsize=1024)
def _checker(schema: str) -> Callable[[Json], str | None]:
    """A check of one schema, prepared once. The common plain schemas need no library (and not its 60 ms of import)."""
    try:
        parsed = msgspec.json.decode(schema)
    except msgspec.DecodeError:
        return lambda value: "its declared schema is not JSON; nothing fits it"
    if parsed is True:
        return lambda value: None
    if not isinstance(parsed, dict):
        return lambda value: "its declared schema is no object; nothing fits it"
    kind = parsed.get("type")
    if parsed.keys() <= _PLAIN_KEYS and (kind is None or kind in _TYPES):
        return lambda value: _plain(kind, value)
    if any(_EXPLOSIVE.search(pattern) for pattern in _patterns(parsed)):
        return lambda value: "its declared schema has a pattern that cannot be checked in bounded time"
    return _full(parsed)


def _plain(kind: str | None, value: Json) -> str | None:
    return None if kind is None or _TYPES[kind](value) else f"expected {kind}, found {_named(value)}"


def _full(parsed: dict[str, Any]) -> Callable[[Json], str | None]:
    from jsonschema import Draft202012Validator, exceptions
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    try:
        Draft202012Validator.check_schema(parsed)
    except exceptions.SchemaError:
        return lambda value: "its declared schema is not valid JSON Schema; nothing fits it"
    # An empty registry: the library's default one would fetch a remote reference over the network.
    validator = Draft202012Validator(parsed, registry=Registry())

    def check(value: Json) -> str | None:
        try:
            error = next(iter(validator.iter_errors(value)), None)
        except (Unresolvable, RecursionError):
            return "its declared schema refers to something that is not in it; nothing fits it"
        return (
            None
            if error is None
            else f"expected {error.validator} {_shown(error.validator_value)}, found {_named(value)}"
        )

    return check


def _patterns(schema: Json) -> list[str]:
    if isinstance(schema, list):
        return [pattern for item in schema for pattern in _patterns(item)]
    if not isinstance(schema, dict):
        return []
    found = [schema["pattern"]] if isinstance(schema.get("pattern"), str) else []
    keyed = schema.get("patternProperties")
    if isinstance(keyed, dict):
        found += list(keyed)
    return [str(pattern) for pattern in found] + [p for value in schema.values() for p in _patterns(value)]


def _named(value: Json) -> str:
    return _shown(value)


def _shown(value: Any) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 60 else text[:57] + "…"
