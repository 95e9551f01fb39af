"""The bounds of a slice: one missing, one too many, or the step the wrong way."""

import ast
from collections.abc import Iterator

from loopwright.act.repair.edits import Rewrite, Site, replacement

__all__ = ["Slices"]


class Slices:
    name = "slice"
    prior = 0.5

    def rewrites(self, site: Site) -> Iterator[Rewrite]:
        source = site.source
        for node in site.nodes():
            if not isinstance(node, ast.Subscript):
                continue
            value, inner = source.text(node.value), node.slice
            if isinstance(inner, ast.Slice):
                low, high, step = (b"" if b is None else source.text(b) for b in (inner.lower, inner.upper, inner.step))
                tail = b":" + step if step else b""
                yield replacement(source, node, value + b"[" + low + b":" + tail + b"]", 0.6)
                yield replacement(source, node, value + b"[:" + high + tail + b"]", 0.6)
                yield replacement(source, node, value + b"[1:" + high + tail + b"]", 0.4)
                yield replacement(source, node, value + b"[" + low + b":-1" + tail + b"]", 0.4)
                yield replacement(source, node, value + b"[" + low + b":" + high + b"]", 0.4)
                yield replacement(source, node, value + b"[" + low + b":" + high + b":-1]", 0.4)
                yield replacement(source, node, value + b"[-(" + (high or low or b"0") + b"):]", 0.3)
                yield replacement(source, node, value, 0.3)
            else:
                index = source.text(inner)
                yield replacement(source, node, value + b"[" + index + b":]", 0.2)
                yield replacement(source, node, value + b"[:" + index + b"]", 0.2)
                if isinstance(node.ctx, ast.Load):
                    yield replacement(source, node, value + b".get(" + index + b")", 0.4)
                    yield replacement(source, node, value + b".get(" + index + b", 0)", 0.4)
