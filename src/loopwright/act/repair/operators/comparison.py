"""A comparison that takes the wrong side or the wrong border: `<` for `<=`, `==` for `!=`, `in` for `not in`."""

import ast
import re
from collections.abc import Iterator

from loopwright.act.repair.edits import Rewrite, Site

__all__ = ["Comparison"]

_TOKEN = re.compile(rb"not\s+in\b|is\s+not\b|in\b|is\b|<=|>=|==|!=|<|>")
# Border mistakes are by far the commonest; then the opposite; then the rest.
_SWAPS: dict[type[ast.cmpop], tuple[tuple[bytes, float], ...]] = {
    ast.Lt: ((b"<=", 1.0), (b">", 0.6), (b">=", 0.6), (b"!=", 0.2), (b"==", 0.2)),
    ast.LtE: ((b"<", 1.0), (b">=", 0.6), (b">", 0.6), (b"==", 0.2), (b"!=", 0.1)),
    ast.Gt: ((b">=", 1.0), (b"<", 0.6), (b"<=", 0.6), (b"!=", 0.2), (b"==", 0.2)),
    ast.GtE: ((b">", 1.0), (b"<=", 0.6), (b"<", 0.6), (b"==", 0.2), (b"!=", 0.1)),
    ast.Eq: ((b"!=", 0.8), (b">=", 0.5), (b"<=", 0.5), (b"is", 0.2), (b">", 0.2), (b"<", 0.2), (b"in", 0.2)),
    ast.NotEq: ((b"==", 0.8), (b"<", 0.4), (b">", 0.4), (b"is not", 0.2), (b"<=", 0.2), (b">=", 0.2)),
    ast.In: ((b"not in", 0.8), (b"==", 0.2)),
    ast.NotIn: ((b"in", 0.8),),
    ast.Is: ((b"is not", 0.8), (b"==", 0.4)),
    ast.IsNot: ((b"is", 0.8), (b"!=", 0.4)),
}


class Comparison:
    name = "comparison swap"
    prior = 0.9

    def rewrites(self, site: Site) -> Iterator[Rewrite]:
        source = site.source
        for node in site.nodes():
            if not isinstance(node, ast.Compare):
                continue
            left = node.left
            for op, right in zip(node.ops, node.comparators, strict=True):
                start, end = source.span(left)[1], source.span(right)[0]
                gap = source.data[start:end]
                found = _TOKEN.search(gap)
                if found and b"#" not in gap:
                    for text, likely in _SWAPS[type(op)]:
                        yield Rewrite(start + found.start(), start + found.end(), text, likely)
                left = right
