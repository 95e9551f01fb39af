"""An assignment that should add, or that adds the wrong way."""

import ast
from collections.abc import Iterator

from loopwright.act.repair.edits import Rewrite, Site, atom

__all__ = ["Augmented"]

_OPERATORS = (b"=", b"+=", b"-=", b"*=", b"/=", b"//=", b"%=", b"|=", b"&=")
_OPPOSITES = {frozenset((b"+=", b"-=")), frozenset((b"*=", b"/=")), frozenset((b"=", b"+=")), frozenset((b"|=", b"&="))}


class Augmented:
    name = "assignment operator"
    prior = 0.7

    def rewrites(self, site: Site) -> Iterator[Rewrite]:
        source = site.source
        match site.statement:
            case ast.AugAssign(target=target, value=value):
                pass
            case ast.Assign(targets=[ast.Name() | ast.Attribute() | ast.Subscript() as target], value=value):
                pass
            case _:
                return
        start, end = source.span(target)[1], source.span(value)[0]
        gap = source.data[start:end]
        now = gap.strip(b" \t(")
        if not now.endswith(b"="):
            return
        at = start + gap.index(now)
        for other in _OPERATORS:
            if other != now:
                yield Rewrite(at, at + len(now), other, 1.0 if frozenset((now, other)) in _OPPOSITES else 0.2)
        if isinstance(site.statement, ast.AugAssign):
            yield Rewrite(source.span(value)[0], source.span(value)[1], b"1", 0.1)
            yield Rewrite(source.span(value)[0], source.span(value)[1], b"-" + atom(source, value), 0.1)
