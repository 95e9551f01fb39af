"""Arguments or operands in the wrong order, or an argument that is missing or one too many."""

import ast
from collections.abc import Iterator

from loopwright.act.repair.edits import Rewrite, Site, atom

__all__ = ["Argument"]

_ORDERED = (ast.Sub, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow)


class Argument:
    name = "argument order"
    prior = 0.7

    def rewrites(self, site: Site) -> Iterator[Rewrite]:
        source = site.source
        for node in site.nodes():
            if isinstance(node, ast.Call):
                args = node.args
                for n, first in enumerate(args):
                    for second in args[n + 1 :]:
                        yield _swapped(site, first, second, 1.0 if second is args[n + 1] else 0.6)
                if len(args) > 1:
                    start, end = source.span(args[-2])[1], source.span(args[-1])[1]
                    if b"#" not in source.data[start:end]:
                        yield Rewrite(start, end, b"", 0.3)
            elif isinstance(node, ast.BinOp) and isinstance(node.op, _ORDERED):
                yield _swapped(site, node.left, node.right, 0.8)
            elif isinstance(node, ast.Tuple) and len(node.elts) == 2:
                yield _swapped(site, node.elts[0], node.elts[1], 0.5)
            elif isinstance(node, ast.IfExp):
                yield _swapped(site, node.body, node.orelse, 0.7)


def _swapped(site: Site, first: ast.expr, second: ast.expr, likely: float) -> Rewrite:
    source = site.source
    start, end = source.span(first)[0], source.span(second)[1]
    between = source.data[source.span(first)[1] : source.span(second)[0]]
    parenthesised = isinstance(first, ast.BinOp | ast.BoolOp | ast.Compare | ast.Lambda | ast.IfExp)
    left = atom(source, second)
    right = atom(source, first) if parenthesised else source.text(first)
    return Rewrite(start, end, left + between + right, likely)
