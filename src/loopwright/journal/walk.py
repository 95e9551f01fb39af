"""Find and change the free texts of an event body, guided by its types: tags and enumerations are never touched."""

import hashlib
from collections.abc import Callable
from functools import cache
from typing import TypeVar

import msgspec
from msgspec import inspect

from loopwright.kernel.values import BlobRef

__all__ = ["can_hold_float", "holds_float", "map_text"]

S = TypeVar("S", bound=msgspec.Struct)


def map_text(value: S, change: Callable[[str], str]) -> S:
    """`value` with every free text run through `change`; `value` itself when nothing changed.

    A `Literal` field keeps its word, because the result must still decode. An inline blob that changes gets the hash and
    size of its new text, so that the reference stays true; the hash of a stored blob is left alone.
    """
    if isinstance(value, BlobRef):
        return _map_blob(value, change)
    changed: dict[str, object] = {}
    for name, (free, items_free) in _text_fields(type(value)).items():
        old = getattr(value, name)
        new = _map(old, change, free, items_free)
        if new is not old:
            changed[name] = new
    return msgspec.structs.replace(value, **changed) if changed else value


def _map(value: object, change: Callable[[str], str], free: bool, items_free: bool) -> object:
    if isinstance(value, str):
        new = change(value) if free else value
        return value if new == value else new
    if isinstance(value, tuple | list):
        items = [_map(item, change, items_free, items_free) for item in value]
        same = all(new is old for new, old in zip(items, value, strict=True))
        return value if same else type(value)(items)
    if isinstance(value, msgspec.Struct):
        return map_text(value, change)
    return value


def _map_blob(ref: S, change: Callable[[str], str]) -> S:
    assert isinstance(ref, BlobRef)
    if ref.inline is None:
        return ref
    text = change(ref.inline)
    if text == ref.inline:
        return ref
    data = text.encode()
    return msgspec.structs.replace(ref, inline=text, sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data))


@cache
def _text_fields(kind: type[msgspec.Struct]) -> dict[str, tuple[bool, bool]]:
    """Per field: may it be free text itself, may its items be."""
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    return {field.name: _free(field.type) for field in info.fields}


def _free(kind: inspect.Type) -> tuple[bool, bool]:
    if isinstance(kind, inspect.StrType):
        return True, False
    if isinstance(kind, inspect.VarTupleType | inspect.ListType):
        return False, any(_free(kind.item_type))
    if isinstance(kind, inspect.UnionType):
        parts = [_free(part) for part in kind.types]
        return any(own for own, _ in parts), any(items for _, items in parts)
    return False, False


@cache
def can_hold_float(kind: type[msgspec.Struct]) -> bool:
    """Whether a float can stand anywhere in a value of this type."""
    return _holds_float(inspect.type_info(kind), set())


def holds_float(value: object) -> bool:
    """Whether a float stands in this very value; also true for anything that is not known to be free of floats."""
    if isinstance(value, msgspec.Struct):
        return any(holds_float(getattr(value, name)) for name in _float_fields(type(value)))
    if isinstance(value, tuple | list):
        return any(holds_float(item) for item in value)
    return not isinstance(value, str | int | None)


@cache
def _float_fields(kind: type[msgspec.Struct]) -> tuple[str, ...]:
    """The fields of a struct in which a float can stand, at any depth."""
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    return tuple(field.name for field in info.fields if _holds_float(field.type, set()))


def _holds_float(kind: inspect.Type, seen: set[type]) -> bool:
    if isinstance(kind, inspect.StructType):
        if kind.cls in seen:
            return False
        seen.add(kind.cls)
        return any(_holds_float(field.type, seen) for field in kind.fields)
    if isinstance(kind, inspect.UnionType):
        return any(_holds_float(part, seen) for part in kind.types)
    if isinstance(kind, inspect.VarTupleType | inspect.ListType):
        return _holds_float(kind.item_type, seen)
    # What is not known to be free of floats takes the slow, general encoder.
    return not isinstance(
        kind, inspect.StrType | inspect.IntType | inspect.BoolType | inspect.NoneType | inspect.LiteralType
    )
