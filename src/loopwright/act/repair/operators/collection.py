"""A literal collection with an element too many, or of the wrong kind."""

import ast
from collections.abc import Iterator

from loopwright.act.repair.edits import Rewrite, Site, replacement

__all__ = ["Collection"]

_MAX_ELEMENTS = 12


class Collection:
    name = "collection literal"
    prior = 0.35

    def rewrites(self, site: Site) -> Iterator[Rewrite]:
        source = site.source
        for node in site.nodes():
            if isinstance(node, ast.List | ast.Set) and 0 < len(node.elts) <= _MAX_ELEMENTS:
                opening, closing = (b"[", b"]") if isinstance(node, ast.List) else (b"{", b"}")
                for left_out in node.elts:
                    rest = b", ".join(source.text(e) for e in node.elts if e is not left_out)
                    text = opening + rest + closing if rest or isinstance(node, ast.List) else b"set()"
                    yield replacement(source, node, text, 0.8)
            elif isinstance(node, ast.List) and isinstance(node.ctx, ast.Load):
                yield replacement(source, node, b"[[]]", 0.6)
                yield replacement(source, node, b"[0]", 0.5)
                yield replacement(source, node, b"[1]", 0.4)
                for name in _parameters(site):
                    yield replacement(source, node, b"[" + name + b"]", 0.6)
            elif (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in {"set", "list"}
                and not node.args
            ):
                for name in _parameters(site):
                    yield replacement(source, node, (b"{%s}" if node.func.id == "set" else b"[%s]") % name, 0.6)


def _parameters(site: Site) -> list[bytes]:
    if site.function is None:
        return []
    return [a.arg.encode() for a in site.function.args.args if a.arg not in {"self", "cls"}]
