"""Arbitrary events, made from the types themselves: a new kind or field is covered without a word here."""

from typing import cast, get_args

import msgspec
from hypothesis import strategies as st
from msgspec import inspect

from loopwright.kernel.events import Body

__all__ = ["BODY_TYPES", "MAX_INT", "bodies", "texts"]

BODY_TYPES: tuple[type[msgspec.Struct], ...] = get_args(Body)
MAX_INT = 2**53 - 1

texts = st.text(max_size=20) | st.sampled_from(
    ['"\\/\b\f\n\r\t\x00\x1f\x7f', "</script>\u2028\u2029", "é\U0001f600\ufeff", "[redacted:x]"]
)
integers = st.integers(-MAX_INT, MAX_INT) | st.sampled_from([0, MAX_INT, -MAX_INT, 10**15])
floats = st.floats(allow_nan=False, allow_infinity=False)


def _values(kind: inspect.Type) -> st.SearchStrategy[object]:
    if isinstance(kind, inspect.StructType):
        return st.builds(kind.cls, **{field.name: _values(field.type) for field in kind.fields})
    if isinstance(kind, inspect.UnionType):
        return st.one_of([_values(part) for part in kind.types])
    if isinstance(kind, inspect.VarTupleType):
        return st.lists(_values(kind.item_type), max_size=2).map(tuple)
    if isinstance(kind, inspect.LiteralType):
        return st.sampled_from(kind.values)
    simple: dict[type[inspect.Type], st.SearchStrategy[object]] = {
        inspect.StrType: texts,
        inspect.IntType: integers,
        inspect.FloatType: floats,
        inspect.BoolType: st.booleans(),
        inspect.NoneType: st.none(),
    }
    return simple[type(kind)]


def bodies() -> st.SearchStrategy[Body]:
    """Any event body, with unicode, the largest numbers and every optional part present or not."""
    return cast("st.SearchStrategy[Body]", st.one_of([_values(inspect.type_info(kind)) for kind in BODY_TYPES]))
