"""The wrong literal: another boolean, a nearby kind of nothing, or a literal that the file uses elsewhere."""

import ast
from collections.abc import Iterator

from loopwright.act.repair.edits import Rewrite, Site, replacement

__all__ = ["Constant"]

_MAX_DONORS = 16


class Constant:
    name = "constant"
    prior = 0.5

    def rewrites(self, site: Site) -> Iterator[Rewrite]:
        source = site.source
        docstring = site.statement.value if isinstance(site.statement, ast.Expr) else None
        for node in site.nodes():
            if not isinstance(node, ast.Constant) or node is docstring:
                continue
            if isinstance(source.parents[node], ast.JoinedStr | ast.FormattedValue):
                continue  # Python 3.11 gives the parts of an f-string no usable positions
            for text, likely in _fixed(node.value):
                yield replacement(source, node, text, likely)
            for donor, likely in _donors(site, node):
                yield replacement(source, node, donor, likely)


def _fixed(value: object) -> tuple[tuple[bytes, float], ...]:
    if value is True:
        return ((b"False", 1.0), (b"None", 0.2))
    if value is False:
        return ((b"True", 1.0), (b"None", 0.2))
    if value is None:
        return ((b"0", 0.3), (b'""', 0.3), (b"[]", 0.3), (b"True", 0.2), (b"False", 0.3), (b"1", 0.2), (b"{}", 0.2))
    if isinstance(value, int):
        near = ((b"0", 0.6), (b"1", 0.6), (b"-1", 0.4), (b"None", 0.2))
        return (*near, (b"(%d)" % -value, 0.4), (b"%d" % (value * 10), 0.3), (b"%d" % (value // 10), 0.2))
    if isinstance(value, float):
        return tuple(
            (repr(v).encode(), 0.3) for v in (0.0, 1.0, -value, value * 10, value / 10, value * 100, value / 100)
        )
    if isinstance(value, str):
        return ((b'""', 0.3), (b'" "', 0.4)) if value else ((b'" "', 0.4), (b"None", 0.2))
    return ()


def _donors(site: Site, node: ast.Constant) -> Iterator[tuple[bytes, float]]:
    """Literals of the same type: those of the same function first."""
    found: dict[bytes, float] = {}
    for scope, likely in ((site.scope, 0.5), (site.source.tree, 0.2)):
        for other in ast.walk(scope):
            if isinstance(other, ast.Constant) and type(other.value) is type(node.value) and other.value != node.value:
                if isinstance(site.source.parents[other], ast.JoinedStr | ast.FormattedValue | ast.Expr):
                    continue
                text = site.source.text(other)
                if len(text) <= 40 and b"\n" not in text:
                    found.setdefault(text, likely)
    yield from list(found.items())[:_MAX_DONORS]
