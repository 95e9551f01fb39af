"""The wrong name of those in scope."""

import ast
from collections.abc import Iterator

from loopwright.act.repair.edits import Rewrite, Site, replacement

__all__ = ["Variable", "names_in_scope"]

_MAX_NAMES = 24


class Variable:
    name = "variable replacement"
    prior = 0.5

    def rewrites(self, site: Site) -> Iterator[Rewrite]:
        names = names_in_scope(site)
        for node in site.nodes():
            if not isinstance(node, ast.Name):
                continue
            if not isinstance(node.ctx, ast.Load) and not isinstance(site.statement, ast.Assign | ast.AugAssign):
                continue
            parent = site.source.parents[node]
            called = isinstance(parent, ast.Call) and parent.func is node
            for name, likely in names.items():
                if name == node.id or called or (name in {"self", "cls"}):
                    continue
                if isinstance(node.ctx, ast.Load):
                    yield replacement(site.source, node, name.encode(), likely)
                else:
                    yield replacement(site.source, node, name.encode(), 0.4 * likely)


def names_in_scope(site: Site) -> dict[str, float]:
    """Names that can stand at the site, with how likely each is meant: parameters and locals before constants of the module."""
    names: dict[str, float] = {}
    if site.function is not None:
        arguments = site.function.args
        for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
            names.setdefault(argument.arg, 1.0)
        for node in ast.walk(site.function):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                # A local that is first bound further down is seldom the one that was meant.
                names.setdefault(node.id, 0.9 if node.lineno <= site.statement.lineno else 0.3)
    for statement in site.source.tree.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                names.setdefault(name, 0.4)
            case _:
                pass
    names.pop("_", None)
    return dict(list(names.items())[:_MAX_NAMES])
