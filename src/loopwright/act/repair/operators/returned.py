"""What a function gives back: another name, the opposite, nothing, or a `return` that was forgotten."""

import ast
from collections.abc import Iterator

from loopwright.act.repair.edits import Rewrite, Site, atom, replacement
from loopwright.act.repair.operators.variable import names_in_scope

__all__ = ["Returned"]


class Returned:
    name = "return value"
    prior = 0.4

    def rewrites(self, site: Site) -> Iterator[Rewrite]:
        source, statement = site.source, site.statement
        if site.function is None:
            return
        match statement:
            case ast.Return(value=ast.expr() as value):
                yield replacement(source, value, b"not " + atom(source, value), 0.5)
                if not isinstance(value, ast.Name):
                    for name, likely in names_in_scope(site).items():
                        if name not in {"self", "cls"}:
                            yield replacement(source, value, name.encode(), 0.5 * likely)
                for text in (b"None", b"True", b"False", b"0", b"[]", b'""'):
                    yield replacement(source, value, text, 0.2)
            case ast.Return(value=None):
                for name, likely in names_in_scope(site).items():
                    yield replacement(source, statement, b"return " + name.encode(), 0.8 * likely)
            case ast.Expr(value=ast.Call() as value):
                yield replacement(source, statement, b"return " + source.text(value), 0.4)
            case _:
                return
