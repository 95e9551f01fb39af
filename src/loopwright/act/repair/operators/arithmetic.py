"""A wrong arithmetic operator, or one of its operands too many."""

import ast
import re
from collections.abc import Iterator

from loopwright.act.repair.edits import Rewrite, Site, replacement

__all__ = ["Arithmetic"]

_TOKEN = re.compile(rb"\*\*|//|<<|>>|[-+*/%@&|^]")
_SWAPS: dict[type[ast.operator], tuple[tuple[bytes, float], ...]] = {
    ast.Add: ((b"-", 1.0), (b"*", 0.4), (b"|", 0.1)),
    ast.Sub: ((b"+", 1.0), (b"/", 0.2), (b"*", 0.2), (b"%", 0.2)),
    ast.Mult: ((b"/", 0.7), (b"+", 0.6), (b"//", 0.4), (b"**", 0.4), (b"-", 0.2)),
    ast.Div: ((b"//", 1.0), (b"*", 0.7), (b"%", 0.3), (b"-", 0.2)),
    ast.FloorDiv: ((b"/", 1.0), (b"%", 0.7), (b"*", 0.4), (b">>", 0.1)),
    ast.Mod: ((b"//", 0.8), (b"/", 0.5), (b"*", 0.2)),
    ast.Pow: ((b"*", 0.8),),
    ast.LShift: ((b">>", 0.8),),
    ast.RShift: ((b"<<", 0.8),),
    ast.BitAnd: ((b"|", 0.8), (b"^", 0.5)),
    ast.BitOr: ((b"&", 0.8), (b"^", 0.5)),
    ast.BitXor: ((b"&", 0.8), (b"|", 0.8)),
}


class Arithmetic:
    name = "arithmetic operator"
    prior = 0.7

    def rewrites(self, site: Site) -> Iterator[Rewrite]:
        source = site.source
        for node in site.nodes():
            if not isinstance(node, ast.BinOp):
                continue
            if (
                isinstance(node.left, ast.Constant)
                and isinstance(node.left.value, str)
                and isinstance(node.op, ast.Mod)
            ):
                continue  # string formatting
            start, end = source.span(node.left)[1], source.span(node.right)[0]
            gap = source.data[start:end]
            found = _TOKEN.search(gap)
            if found and b"#" not in gap:
                for text, likely in _SWAPS.get(type(node.op), ()):
                    yield Rewrite(start + found.start(), start + found.end(), text, likely)
            yield replacement(source, node, b"(" + source.text(node.left) + b")", 0.35)
            yield replacement(source, node, b"(" + source.text(node.right) + b")", 0.25)
