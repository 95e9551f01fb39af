"""One too many or one too few: integer literals, index and slice bounds, arguments of `range`, and what a function returns."""

import ast
from collections.abc import Iterator

from loopwright.act.repair.edits import Rewrite, Site, atom, replacement

__all__ = ["OffByOne"]


class OffByOne:
    name = "off by one"
    prior = 0.75

    def rewrites(self, site: Site) -> Iterator[Rewrite]:
        source = site.source
        for node in site.nodes():
            if isinstance(node, ast.Constant) and type(node.value) is int and abs(node.value) < 1 << 40:
                yield replacement(source, node, b"%d" % (node.value + 1), 0.9)
                yield replacement(source, node, (b"%d" if node.value else b"(%d)") % (node.value - 1), 0.9)
            for bound, likely in _bounds(node):
                if isinstance(bound, ast.Constant):
                    continue
                yield replacement(source, bound, atom(source, bound) + b" + 1", likely)
                yield replacement(source, bound, atom(source, bound) + b" - 1", likely)


def _bounds(node: ast.AST) -> Iterator[tuple[ast.expr, float]]:
    """Expressions that count something, and how often a border mistake hides in them."""
    match node:
        case ast.Call(func=ast.Name(id="range" | "islice"), args=args):
            yield from ((arg, 1.0) for arg in args if not isinstance(arg, ast.Starred))
        case ast.Call(args=args) | ast.Return(value=ast.Tuple(elts=args)):
            yield from ((arg, 0.3) for arg in args if isinstance(arg, ast.Name | ast.BinOp))
        case ast.Subscript(slice=ast.Slice(lower=lower, upper=upper)):
            yield from ((bound, 1.0) for bound in (lower, upper) if bound is not None)
        case ast.Subscript(slice=ast.Name() | ast.BinOp() | ast.UnaryOp() as index):
            yield index, 0.8
        case ast.Compare(comparators=[*_, ast.Name() | ast.Call() | ast.BinOp() | ast.Attribute() as right]):
            yield right, 0.5
        case ast.Return(value=ast.Name() | ast.BinOp() | ast.Call() as value):
            yield value, 0.4
        case ast.Assign(value=ast.Name() | ast.BinOp() | ast.Call() as value):
            yield value, 0.3
        case _:
            return
