"""Which functions differ between two versions of a source file, where nothing but the bodies of plain functions does.

The compiled code is compared, not the text: defaults, annotations, decorators, class attributes and module constants are byte code of
the module or class around them, so any change to these shows there. Positions in the source do not count.
"""

import ast
from dataclasses import dataclass, field
from types import CodeType
from typing import Any

__all__ = ["Bodies", "NotOnlyBodies", "changed_bodies", "same_code"]

_FUNCTION = 0x1 | 0x2  # CO_OPTIMIZED, CO_NEWLOCALS: class bodies have neither


class NotOnlyBodies(Exception):
    """The change takes effect when the module is imported, or may; the message says where."""


@dataclass
class Bodies:
    """`pairs`: `(code before, code after)` of every function or method of module or class level whose body differs, in source order.

    `moved`: functions that do not differ stand on other lines now.
    """

    pairs: list[tuple[CodeType, CodeType]] = field(default_factory=list)
    moved: bool = False


def changed_bodies(old: bytes, new: bytes, filename: str) -> Bodies:
    """What is nested in a function is part of its body.

    Raises: `NotOnlyBodies`, also for what cannot be compiled.
    """
    try:
        before, after = (compile(text, filename, "exec", dont_inherit=True) for text in (old, new))
        tree = ast.parse(new)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise NotOnlyBodies(f"it cannot be compiled: {error}") from None
    bodies = Bodies()
    _compare(before, after, bodies)
    plain = _plain_functions(tree.body)
    for _, code in bodies.pairs:
        if (code.co_name, code.co_firstlineno) not in plain:
            raise NotOnlyBodies(f"{code.co_name!r} or the class around it is decorated or built by a metaclass")
    return bodies


def same_code(one: CodeType, other: CodeType) -> bool:
    """Whether two code objects do the same, wherever they stand in their files."""
    ours, theirs = _codes(one), _codes(other)
    return (
        _skeleton(one) == _skeleton(other)
        and len(ours) == len(theirs)
        and all(same_code(a, b) for a, b in zip(ours, theirs))  # noqa: B905  older Pythons run this too
    )


def _compare(before: CodeType, after: CodeType, bodies: Bodies) -> None:
    """`before` and `after` run at import."""
    if _skeleton(before) != _skeleton(after):
        where = "module level" if before.co_name == "<module>" else f"class {before.co_name!r}"
        raise NotOnlyBodies(f"it changes what runs at import ({where})")
    for old, new in zip(_codes(before), _codes(after)):  # noqa: B905  the skeletons count them
        if same_code(old, new):
            bodies.moved |= old.co_firstlineno != new.co_firstlineno
            continue
        if not old.co_flags & _FUNCTION and not new.co_flags & _FUNCTION:
            _compare(old, new, bodies)
        elif old.co_name.startswith("<"):
            raise NotOnlyBodies(f"it changes a {old.co_name.strip('<>')} that runs at import or has no name")
        elif _header(old) != _header(new):
            raise NotOnlyBodies(f"it changes the signature, kind, closure or documentation of {old.co_name!r}")
        else:
            bodies.pairs.append((old, new))


def _skeleton(code: CodeType) -> tuple[Any, ...]:
    return (
        *_header(code)[:-1],
        code.co_code,
        tuple(_constant(c) for c in code.co_consts),
        code.co_names,
        code.co_varnames,
        code.co_cellvars,
        getattr(code, "co_exceptiontable", b""),
    )


def _header(code: CodeType) -> tuple[Any, ...]:
    """What a function object takes from its code when it is made, or what must fit its closure; the documentation comes last."""
    arguments = code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & 0x4) + bool(code.co_flags & 0x8)
    first = code.co_consts[0] if code.co_consts else None
    return (
        code.co_name,
        getattr(code, "co_qualname", ""),
        code.co_flags,
        code.co_argcount,
        code.co_posonlyargcount,
        code.co_kwonlyargcount,
        code.co_varnames[:arguments],
        code.co_freevars,
        # A string that only may be the documentation counts as one: that costs time and no verdict.
        first if isinstance(first, str) else None,
    )


def _constant(value: object) -> object:
    """Tells `1` from `True` and `0.0` from `-0.0`, which are equal."""
    if isinstance(value, CodeType):
        return CodeType
    if isinstance(value, tuple):
        return (tuple, *(_constant(v) for v in value))
    if isinstance(value, frozenset):
        return (frozenset, *sorted(repr(_constant(v)) for v in value))
    return (type(value), repr(value))


def _codes(code: CodeType) -> list[CodeType]:
    return [c for c in code.co_consts if isinstance(c, CodeType)]


def _plain_functions(body: list[ast.stmt]) -> set[tuple[str, int]]:
    """Name and first line of the undecorated functions of module and class level, however deep in `if` and `try`."""
    found: set[tuple[str, int]] = set()
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            if not node.decorator_list:
                found.add((node.name, node.lineno))
        elif isinstance(node, ast.ClassDef):
            if not node.decorator_list and not node.keywords:
                found |= _plain_functions(node.body)
        else:
            for _, value in ast.iter_fields(node):
                if isinstance(value, list):
                    statements = [v for v in value if isinstance(v, ast.stmt)]
                    handlers = [s for v in value if not isinstance(v, ast.stmt) for s in getattr(v, "body", [])]
                    found |= _plain_functions([*statements, *(s for s in handlers if isinstance(s, ast.stmt))])
    return found
