"""A condition that is the wrong way round, or that should always or never hold."""

import ast
from collections.abc import Iterator

from loopwright.act.repair.edits import Rewrite, Site, atom, replacement

__all__ = ["Condition"]


class Condition:
    name = "condition"
    prior = 0.4

    def rewrites(self, site: Site) -> Iterator[Rewrite]:
        for test in _tests(site):
            yield replacement(site.source, test, b"not " + atom(site.source, test), 1.0)
            yield replacement(site.source, test, b"True", 0.4)
            yield replacement(site.source, test, b"False", 0.4)


def _tests(site: Site) -> Iterator[ast.expr]:
    if isinstance(site.statement, ast.If | ast.While | ast.Assert):
        yield site.statement.test
    for node in site.nodes():
        if isinstance(node, ast.IfExp):
            yield node.test
        elif isinstance(node, ast.comprehension):
            yield from node.ifs
