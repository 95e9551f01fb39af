"""An expression of the same function in place of another: code that is right elsewhere is often what was meant here."""

import ast
from collections.abc import Iterator

from loopwright.act.repair.edits import Rewrite, Site, atom, replacement

__all__ = ["Donor"]

_MAX_DONORS = 30
_MAX_BYTES = 80
_KINDS = (
    ast.Attribute,
    ast.Call,
    ast.BinOp,
    ast.Subscript,
    ast.Compare,
    ast.BoolOp,
    ast.UnaryOp,
    ast.Name,
    ast.Constant,
)


class Donor:
    name = "donor expression"
    prior = 0.2

    def rewrites(self, site: Site) -> Iterator[Rewrite]:
        donors = _donors(site)
        for node in site.nodes():
            if not isinstance(node, ast.expr) or not isinstance(getattr(node, "ctx", ast.Load()), ast.Load):
                continue
            parent = site.source.parents[node]
            if isinstance(node, ast.Slice | ast.Starred | ast.JoinedStr) or isinstance(
                parent, ast.JoinedStr | ast.FormattedValue
            ):
                continue
            if isinstance(parent, ast.Call | ast.Attribute) and node is getattr(
                parent, "func", getattr(parent, "value", None)
            ):
                continue  # callees and the object of an attribute have operators of their own
            simple = isinstance(node, ast.Name | ast.Constant)
            for text, plain in donors:
                if simple and plain:
                    continue  # a name for a name is variable replacement
                yield replacement(site.source, node, text, 0.5 if simple else 1.0)


def _donors(site: Site) -> list[tuple[bytes, bool]]:
    """`(text, is it just a name or a literal)`, nearest line first."""
    found: dict[bytes, tuple[int, bool]] = {}
    for node in ast.walk(site.scope):
        if isinstance(node, _KINDS) and isinstance(getattr(node, "ctx", ast.Load()), ast.Load):
            if isinstance(site.source.parents.get(node), ast.JoinedStr | ast.FormattedValue | ast.Expr):
                continue
            text = atom(site.source, node)
            if len(text) <= _MAX_BYTES and b"\n" not in text:
                distance = abs(node.lineno - site.statement.lineno)
                kept = found.get(text)
                if kept is None or distance < kept[0]:
                    found[text] = (distance, isinstance(node, ast.Name | ast.Constant))
    nearest = sorted(found.items(), key=lambda item: (item[1][0], item[0]))
    return [(text, plain) for text, (_, plain) in nearest[:_MAX_DONORS]]
