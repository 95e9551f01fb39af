"""Harmless changes to seed: what a person does while tidying up. Pure. Each is checked to be the same program."""

import ast
import builtins
import itertools
import keyword
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from loopwright.evaluate.review.seeds.same import Allowed, same_program
from loopwright.evaluate.review.seeds.source import Draft, Edit, Function, Seed, Source, nodes

__all__ = ["HARMLESS", "HarmlessDraft", "harmless", "made_harmless"]

_REMARKS = (
    "One step after the other, so that each can be seen.",
    "The order matters here.",
    "Kept apart from what follows.",
    "Nothing else depends on this.",
)
_ADDED = " Part of this module's small vocabulary."
_MORE_WORDS = ("current", "found", "wanted", "known", "given", "actual")
_ASKS_NAMES = frozenset({"locals", "eval", "exec", "vars", "dir", "globals"})
_ASKS_HINTS = frozenset({"get_type_hints", "signature", "getfullargspec", "get_annotations", "__annotations__"})
_BUSY_IMPORTS = frozenset({"readline", "rlcompleter", "antigravity", "this", "__future__"})
"""Modules of the standard library that do something when they are imported."""

_Found = Iterator[tuple[int, tuple[Edit, ...], Allowed]]


@dataclass(frozen=True, slots=True)
class HarmlessDraft(Draft):
    allowed: Allowed


def harmless(source: Source) -> Iterator[HarmlessDraft]:
    """Every harmless change of a file that we know how to make, each a change of its own."""
    for kind, find in HARMLESS.items():
        for line, edits, allowed in find(source):
            yield HarmlessDraft(kind, source, line, edits, allowed)


def made_harmless(draft: HarmlessDraft) -> Seed | None:
    """The change, if the file with it is the same program."""
    seed = draft.seed()
    if seed.content == draft.source.data or not same_program(draft.source.data, seed.content, draft.allowed):
        return None
    return seed


def _renamed_local(source: Source) -> _Found:
    taken = _names(source.tree)
    for function in source.functions():
        inner = list(ast.walk(function))
        if any(isinstance(n, ast.ClassDef | ast.Global | ast.Nonlocal) for n in inner) or _mentions(inner, _ASKS_NAMES):
            continue
        bound_otherwise = _bound_otherwise(inner) | _outside(function)
        in_texts = {n.id for f in inner if isinstance(f, ast.JoinedStr) for n in ast.walk(f) if isinstance(n, ast.Name)}
        own = [n for n in nodes(function) if isinstance(n, ast.Name)]
        for name in dict.fromkeys(n.id for n in own if isinstance(n.ctx, ast.Store)):
            fresh = next((f"{word}_{name}" for word in _MORE_WORDS if f"{word}_{name}" not in taken), None)
            if fresh is None or name.startswith("_") or name in bound_otherwise | in_texts:
                continue
            places = [n for n in inner if isinstance(n, ast.Name) and n.id == name]
            edits = tuple(Edit(*source.span(n), fresh.encode()) for n in places)
            yield min(n.lineno for n in places), edits, Allowed(renamed=(fresh, name))


def _outside(function: Function) -> frozenset[str]:
    """Names in its decorators, defaults and annotations: there they are not the function's own."""
    arguments = function.args
    hints = [a.annotation for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs) if a.annotation]
    parts = [*function.decorator_list, *arguments.defaults, *hints, *filter(None, arguments.kw_defaults)]
    parts += [function.returns] if function.returns else []
    return frozenset(n.id for part in parts for n in ast.walk(part) if isinstance(n, ast.Name))


def _bound_otherwise(inner: list[ast.AST]) -> frozenset[str]:
    """Names that are bound by something that is no `Name`: a parameter, a handler, an import, a pattern, a nested function."""
    found: set[str] = set()
    for node in inner:
        match node:
            case ast.arg(arg=name):
                found.add(name)
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                found.add(name)
            case ast.MatchMapping(rest=str(name)) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                found.add(name)
            case ast.alias(name=name, asname=other):
                found.add(other or name.partition(".")[0])
            case _:
                pass
    return frozenset(found)


def _reordered_imports(source: Source) -> _Found:
    for one, other in itertools.pairwise(source.tree.body):
        if isinstance(one, ast.Import) and isinstance(other, ast.Import) and source.alone(one) and source.alone(other):
            if one.lineno != one.end_lineno or other.lineno != one.lineno + 1 or other.end_lineno != other.lineno:
                continue
            names = [a.name.partition(".")[0] for a in (*one.names, *other.names)]
            if len(set(names)) == len(names) and all(_plain_module(n) for n in names):
                swap = (
                    Edit(*source.span(one), source.text(other)),
                    Edit(*source.span(other), source.text(one)),
                )
                yield one.lineno, swap, Allowed(imports=True)


def _plain_module(name: str) -> bool:
    return name in sys.stdlib_module_names and name not in _BUSY_IMPORTS


def _extracted_constant(source: Source) -> _Found:
    taken = _names(source.tree)
    top = _behind_imports(source)
    if top is None:
        return
    for function in source.functions():
        name = next(
            f"_{function.name.strip('_').upper()}_{n}" for n in ("VALUE", *_COUNTED) if _free(function, n, taken)
        )
        for node in nodes(function):
            if not isinstance(node, ast.Constant) or type(node.value) not in (int, float, str) or node.kind:
                continue
            text = source.text(node)
            if node.lineno != node.end_lineno or _is_statement(function, node):
                continue
            edits = (Edit(top, top, f"{name} = ".encode() + text + b"\n"), Edit(*source.span(node), name.encode()))
            yield node.lineno, edits, Allowed(extracted=name)


_COUNTED = tuple(f"VALUE_{n}" for n in range(2, 1000))


def _free(function: Function, ending: str, taken: frozenset[str]) -> bool:
    return f"_{function.name.strip('_').upper()}_{ending}" not in taken


def _is_statement(function: Function, constant: ast.Constant) -> bool:
    """A docstring is one too."""
    return any(isinstance(s, ast.Expr) and s.value is constant for s in ast.walk(function))


def _behind_imports(source: Source) -> int | None:
    """Where a line can be put behind the docstring and the imports at the top; `None` where another statement stands on that line."""
    last: ast.stmt | None = None
    for at, statement in enumerate(source.tree.body):
        text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        if not isinstance(statement, ast.Import | ast.ImportFrom) and not (at == 0 and text):
            break
        last = statement
    if last is None:
        at = 0
        while source.data.startswith(b"#", at):  # what says how to run the file, or who may copy it, stays on top
            at = source.data.find(b"\n", at) + 1 or len(source.data)
        return at
    if not source.alone(last) or last.end_lineno is None or last.end_lineno >= len(source.lines):
        return None
    return min(source.lines[last.end_lineno], len(source.data))


def _comment(source: Source) -> _Found:
    remarks = itertools.cycle(_REMARKS)
    for function in source.functions():
        for statement in function.body[1:]:
            if source.alone(statement):
                start = source.lines[statement.lineno - 1]
                indent = source.data[start : source.span(statement)[0]]
                yield (
                    statement.lineno,
                    (Edit(start, start, indent + b"# " + next(remarks).encode() + b"\n"),),
                    Allowed(),
                )


def _docstring(source: Source) -> _Found:
    if b"__doc__" in source.data:
        return
    for function in source.functions():
        first = function.body[0]
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
            text = source.text(first)
            inner = text[3:-3]
            if not (text.startswith(b'"""') and text.endswith(b'"""')) or b"\\" in inner or b">>>" in inner:
                continue
            at = source.span(first)[0] + 3 + len(inner.rstrip())
            yield first.lineno, (Edit(at, at, _ADDED.encode()),), Allowed(docstrings=True)


def _type_hint(source: Source) -> _Found:
    if _mentions(list(ast.walk(source.tree)), _ASKS_HINTS):
        return
    for function in source.functions():
        if function.decorator_list:
            continue  # a decorator may look at the hints
        for argument in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs):
            if argument.annotation is None and argument.arg not in ("self", "cls"):
                end = source.span(argument)[1]
                yield argument.lineno, (Edit(end, end, b": object"),), Allowed(hints=True)


def _mentions(inner: list[ast.AST], names: frozenset[str]) -> bool:
    return any(
        (isinstance(n, ast.Name) and n.id in names)
        or (isinstance(n, ast.Attribute) and n.attr in names)
        or (isinstance(n, ast.alias) and n.name in names)
        for n in inner
    )


def _names(tree: ast.AST) -> frozenset[str]:
    named = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    others = {n.arg for n in ast.walk(tree) if isinstance(n, ast.arg)}
    return frozenset(named | others | set(dir(builtins)) | set(keyword.kwlist))


HARMLESS: dict[str, Callable[[Source], _Found]] = {
    "renamed local": _renamed_local,
    "reordered imports": _reordered_imports,
    "extracted constant": _extracted_constant,
    "comment": _comment,
    "docstring": _docstring,
    "type hint": _type_hint,
}
