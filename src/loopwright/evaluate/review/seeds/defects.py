"""Defects to seed: small slips of the kinds that people make, one each. Pure.

That a change parses and is another program is checked here. That it is a defect only a test can prove: `calibrate` runs them.
"""

import ast
import re
from collections.abc import Callable, Iterator

from loopwright.evaluate.review.seeds.source import Draft, Edit, Function, Seed, Source, nodes

__all__ = ["DEFECTS", "defects", "made_defect"]

_TOKEN = re.compile(rb"not\s+in\b|is\s+not\b|in\b|is\b|<=|>=|==|!=|<|>")
_COMPARED: dict[type[ast.cmpop], bytes] = {
    ast.Lt: b"<=",
    ast.LtE: b"<",
    ast.Gt: b">=",
    ast.GtE: b">",
    ast.Eq: b"!=",
    ast.NotEq: b"==",
    ast.In: b"not in",
    ast.NotIn: b"in",
    ast.Is: b"is not",
    ast.IsNot: b"is",
}
_OPERATOR = re.compile(rb"\*\*|//|[-+*/%]")
_CALCULATED: dict[type[ast.operator], bytes] = {
    ast.Add: b"-",
    ast.Sub: b"+",
    ast.Mult: b"+",
    ast.Div: b"*",
    ast.FloorDiv: b"*",
    ast.Mod: b"//",
    ast.Pow: b"*",
}
_QUIET = frozenset({"print", "log", "logger", "logging", "warnings"})
"""A call that only tells somebody something: without it the program does the same."""
_EITHER_WAY = frozenset({"min", "max", "print", "gcd", "isclose", "hypot"})

_Found = Iterator[tuple[int, Edit]]


def defects(source: Source) -> Iterator[Draft]:
    """Every defect that could be put into the functions of a file, each a change of its own."""
    for function in source.functions():
        for kind, find in DEFECTS.items():
            for line, edit in find(source, function):
                yield Draft(kind, source, line, (edit,))


def made_defect(draft: Draft) -> Seed | None:
    """The change, if it parses and is another program."""
    seed = draft.seed()
    try:
        changed = ast.dump(ast.parse(seed.content)) != ast.dump(draft.source.tree)
        compile(seed.content, "seed", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError):
        return None
    return seed if changed else None


def _comparison(source: Source, function: Function) -> _Found:
    for node in nodes(function):
        if isinstance(node, ast.Compare) and len(node.ops) == 1:
            start, end = source.span(node.left)[1], source.span(node.comparators[0])[0]
            token = _TOKEN.search(source.data, start, end)
            if token is not None and b"#" not in source.data[start:end]:
                yield node.lineno, Edit(token.start(), token.end(), _COMPARED[type(node.ops[0])])


def _arithmetic(source: Source, function: Function) -> _Found:
    for node in nodes(function):
        if isinstance(node, ast.BinOp) and type(node.op) in _CALCULATED:
            if any(_is_text(side) for side in (node.left, node.right)):
                continue
            start, end = source.span(node.left)[1], source.span(node.right)[0]
            token = _OPERATOR.search(source.data, start, end)
            if token is not None and b"#" not in source.data[start:end]:
                yield node.lineno, Edit(token.start(), token.end(), _CALCULATED[type(node.op)])


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str | bytes))


def _off_by_one(source: Source, function: Function) -> _Found:
    for node in nodes(function):
        if isinstance(node, ast.Constant) and type(node.value) is int:
            yield node.lineno, Edit(*source.span(node), str(node.value + 1).encode())


def _dropped_call(source: Source, function: Function) -> _Found:
    for node in nodes(function):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and source.alone(node):
            names = {n.id for n in ast.walk(node.value.func) if isinstance(n, ast.Name)}
            if not names & _QUIET:
                yield node.lineno, Edit(*source.span(node), b"pass")


def _swapped_arguments(source: Source, function: Function) -> _Found:
    for node in nodes(function):
        if not isinstance(node, ast.Call) or len(node.args) < 2:
            continue
        one, other = node.args[0], node.args[1]
        named = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        if named in _EITHER_WAY or isinstance(one, ast.Starred) or isinstance(other, ast.Starred):
            continue
        # A generator that is an argument may have no parentheses of its own.
        if isinstance(one, ast.GeneratorExp) or isinstance(other, ast.GeneratorExp):
            continue
        start, end = source.span(one)[0], source.span(other)[1]
        between = source.data[source.span(one)[1] : source.span(other)[0]]
        if source.text(one) != source.text(other) and b"#" not in between:
            yield node.lineno, Edit(start, end, source.text(other) + between + source.text(one))


def _removed_guard(source: Source, function: Function) -> _Found:
    for node in nodes(function):
        if isinstance(node, ast.If) and not node.orelse and len(node.body) == 1 and source.alone(node):
            leaves = isinstance(node.body[0], ast.Return | ast.Raise | ast.Continue | ast.Break)
            # `elif` is an `if` too, and its text begins with other letters.
            if leaves and source.text(node).startswith(b"if"):
                yield node.lineno, Edit(*source.span(node), b"pass")


def _wrong_return(source: Source, function: Function) -> _Found:
    for node in nodes(function):
        if not isinstance(node, ast.Return) or node.value is None:
            continue
        value, text = node.value, source.text(node.value)
        start, end = source.span(value)
        if isinstance(value, ast.Constant) and isinstance(value.value, bool):
            yield node.lineno, Edit(start, end, str(not value.value).encode())
        elif isinstance(value, ast.Compare | ast.BoolOp):
            yield node.lineno, Edit(start, end, b"not (" + text + b")")
        elif not (isinstance(value, ast.Constant) and value.value is None):
            yield node.lineno, Edit(start, end, b"None")


DEFECTS: dict[str, Callable[[Source, Function], _Found]] = {
    "comparison": _comparison,
    "arithmetic": _arithmetic,
    "off by one": _off_by_one,
    "dropped call": _dropped_call,
    "swapped arguments": _swapped_arguments,
    "removed guard": _removed_guard,
    "wrong return": _wrong_return,
}
