"""`and` for `or`, a `not` too many or missing, a clause too many or missing."""

import ast
import re
from collections.abc import Iterator

from loopwright.act.repair.edits import Rewrite, Site, atom, replacement

__all__ = ["Boolean"]

_TOKEN = re.compile(rb"\b(?:and|or)\b")
_MAX_CLAUSES = 12


class Boolean:
    name = "boolean operator"
    prior = 0.6

    def rewrites(self, site: Site) -> Iterator[Rewrite]:
        source = site.source
        for node in site.nodes():
            if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
                yield replacement(source, node, atom(source, node.operand), 0.9)
            if not isinstance(node, ast.BoolOp):
                continue
            other = b"or" if isinstance(node.op, ast.And) else b"and"
            for left, right in zip(node.values, node.values[1:], strict=False):
                start, end = source.span(left)[1], source.span(right)[0]
                gap = source.data[start:end]
                found = _TOKEN.search(gap)
                if found and b"#" not in gap:
                    yield Rewrite(start + found.start(), start + found.end(), other, 1.0)
            for clause in node.values:
                word = b" and " if isinstance(node.op, ast.And) else b" or "
                rest = word.join(atom(source, v) for v in node.values if v is not clause)
                yield replacement(source, node, b"(" + rest + b")", 0.6)
                yield replacement(source, clause, b"not " + atom(source, clause), 0.5)
        yield from _added(site)


def _added(site: Site) -> Iterator[Rewrite]:
    """A condition that needs a further clause, taken from the other conditions of the same function."""
    if not isinstance(site.statement, ast.If | ast.While):
        return
    source, test = site.source, site.statement.test
    for clause in _clauses(site)[:_MAX_CLAUSES]:
        for word in (b" and ", b" or "):
            yield replacement(source, test, atom(source, test) + word + clause, 0.25)
            yield replacement(source, test, clause + word + atom(source, test), 0.1)


def _clauses(site: Site) -> list[bytes]:
    own = site.source.text(site.statement.test) if isinstance(site.statement, ast.If | ast.While) else b""
    found: dict[bytes, None] = {}
    for node in ast.walk(site.scope):
        if isinstance(node, ast.Compare) or (isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)):
            text = atom(site.source, node)
            if text.strip(b"()") not in own and b"\n" not in text:
                found[text] = None
    return list(found)
