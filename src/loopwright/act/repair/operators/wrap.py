"""A value that should have gone through a call first: `abs(x)`, `sorted(x)`, `x.strip()`, or a function that the file calls itself."""

import ast
from collections.abc import Iterator

from loopwright.act.repair.edits import Rewrite, Site, atom, replacement

__all__ = ["Wrap"]

_BUILTINS = (b"abs", b"len", b"int", b"str", b"sorted", b"list", b"reversed", b"set", b"tuple", b"round", b"float")
_METHODS = (b"strip", b"lower", b"copy")
_MAX_LOCAL = 8


class Wrap:
    name = "wrap in a call"
    prior = 0.25

    def rewrites(self, site: Site) -> Iterator[Rewrite]:
        source = site.source
        local = _called_with_one(site)
        for value in _values(site.statement):
            for callee, likely in (*((c, 1.0) for c in local), *((b, 0.5) for b in _BUILTINS)):
                yield replacement(source, value, callee + b"(" + source.text(value) + b")", likely)
            for method in _METHODS:
                yield replacement(source, value, atom(source, value) + b"." + method + b"()", 0.5)


def _values(statement: ast.stmt) -> Iterator[ast.expr]:
    match statement:
        case ast.Return(value=ast.expr() as value) | ast.Assign(value=value) | ast.AugAssign(value=value):
            yield value
        case ast.Expr(value=ast.Call(args=args)):
            yield from (a for a in args if not isinstance(a, ast.Starred))
        case ast.For(iter=value):
            yield value
        case ast.If(test=ast.Compare(left=left, comparators=[right])):
            yield from (left, right)
        case _:
            return


def _called_with_one(site: Site) -> list[bytes]:
    found: dict[bytes, None] = {}
    for node in ast.walk(site.source.tree):
        if isinstance(node, ast.Call) and len(node.args) == 1 and isinstance(node.func, ast.Name | ast.Attribute):
            text = site.source.text(node.func)
            if len(text) <= 40 and b"\n" not in text and b"(" not in text:
                found[text] = None
    return [f for f in found if f not in _BUILTINS][:_MAX_LOCAL]
