"""Every blob that an event refers to, guided by its types."""

from collections.abc import Iterator
from functools import cache

import msgspec
from msgspec import inspect

from loopwright.kernel.values import BlobRef

__all__ = ["blob_refs"]


def blob_refs(value: object) -> Iterator[BlobRef]:
    """The references in an event, a body or any value of theirs, in the order of the fields."""
    if isinstance(value, BlobRef):
        yield value
    elif isinstance(value, msgspec.Struct):
        for name in _fields(type(value)):
            yield from blob_refs(getattr(value, name))
    elif isinstance(value, tuple | list):
        for item in value:
            yield from blob_refs(item)


@cache
def _fields(kind: type[msgspec.Struct]) -> tuple[str, ...]:
    """The fields in which a reference can stand: an event without any costs nothing."""
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    return tuple(field.name for field in info.fields if _holds_ref(field.type, set()))


def _holds_ref(kind: inspect.Type, seen: set[type]) -> bool:
    if isinstance(kind, inspect.StructType):
        if kind.cls is BlobRef:
            return True
        if kind.cls in seen:
            return False
        seen.add(kind.cls)
        return any(_holds_ref(field.type, seen) for field in kind.fields)
    if isinstance(kind, inspect.UnionType):
        return any(_holds_ref(part, seen) for part in kind.types)
    if isinstance(kind, inspect.VarTupleType | inspect.ListType):
        return _holds_ref(kind.item_type, seen)
    return False
