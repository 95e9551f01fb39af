"""A statement that should not be there, or that stands before the wrong one."""

import ast
from collections.abc import Iterator

from loopwright.act.repair.edits import Rewrite, Site, replacement

__all__ = ["Delete"]


class Delete:
    name = "statement"
    prior = 0.3

    def rewrites(self, site: Site) -> Iterator[Rewrite]:
        source, statement = site.source, site.statement
        match statement:
            case (
                ast.Expr(value=ast.Constant())
                | ast.Pass()
                | ast.FunctionDef()
                | ast.AsyncFunctionDef()
                | ast.ClassDef()
            ):
                return
            case ast.Break():
                yield replacement(source, statement, b"continue", 1.0)
            case ast.Continue():
                yield replacement(source, statement, b"break", 1.0)
            case _:
                pass
        yield replacement(source, statement, b"pass", 0.8)
        block = _block(site)
        at = block.index(statement)
        for neighbour in block[at + 1 : at + 2]:
            first, second = source.span(statement), source.span(neighbour)
            if source.indent(statement) == source.indent(neighbour) is not None:
                between = source.data[first[1] : second[0]]
                text = source.text(neighbour) + between + source.text(statement)
                yield Rewrite(first[0], second[1], text, 0.5)


def _block(site: Site) -> list[ast.stmt]:
    parent = site.source.parents[site.statement]
    for field in ("body", "orelse", "finalbody"):
        block = getattr(parent, field, None)
        if isinstance(block, list) and site.statement in block:
            return block
    return [site.statement]
