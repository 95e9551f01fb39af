"""A case that was forgotten: leave the function, or skip the statement, when a value is missing."""

import ast
from collections.abc import Iterator

from loopwright.act.repair.edits import Rewrite, Site, insertion, replacement
from loopwright.act.repair.operators.variable import names_in_scope

__all__ = ["Guard"]

_MAX_NAMES = 6


class Guard:
    name = "guard"
    prior = 0.3

    def rewrites(self, site: Site) -> Iterator[Rewrite]:
        if site.function is None or isinstance(site.statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            return
        source = site.source
        conditions = _conditions(site)
        for leaving, likely in _leaving(site):
            for condition in conditions:
                found = insertion(source, site.statement, (b"if " + condition + b": " + leaving,), likely)
                if found is not None:
                    yield found
        if isinstance(site.statement, ast.Assign | ast.AugAssign | ast.Expr | ast.Raise):
            text = source.text(site.statement)
            if b"\n" not in text and b"\r" not in text:
                for condition in conditions:
                    yield replacement(source, site.statement, b"if not (" + condition + b"): " + text, 0.3)


def _conditions(site: Site) -> list[bytes]:
    """Names that the statement itself uses, before the others in scope."""
    used = {n.id: None for n in site.nodes() if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    scope = names_in_scope(site)
    names = [n for n in used if n in scope and n not in {"self", "cls"}][:_MAX_NAMES]
    own = [
        site.source.text(n)
        for n in site.nodes()
        if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name) and isinstance(n.ctx, ast.Load)
    ]
    subjects = [*(n.encode() for n in names), *dict.fromkeys(own)][:_MAX_NAMES]
    return [c for s in subjects for c in (b"not " + s, s + b" is None")]


def _leaving(site: Site) -> list[tuple[bytes, float]]:
    """How to leave: as the function does elsewhere, else with the usual kinds of nothing."""
    assert site.function is not None
    found: dict[bytes, float] = {}
    node: ast.AST | None = site.statement
    while node is not None and node is not site.function:
        if isinstance(node, ast.For | ast.While):
            found[b"continue"] = 0.6
            break
        node = site.source.parents.get(node)
    for other in ast.walk(site.function):
        if isinstance(other, ast.Return) and len(text := site.source.text(other)) <= 60 and b"\n" not in text:
            found.setdefault(text, 0.5)
    for text in (
        b"return None",
        b"return 0",
        b"return []",
        b"return False",
        b'return ""',
        b"return True",
        b"return {}",
    ):
        found.setdefault(text, 0.3)
    parameters = site.function.args.args
    for parameter in parameters[:3]:
        if parameter.arg not in {"self", "cls"}:
            found.setdefault(b"return " + parameter.arg.encode(), 0.25)
    return list(found.items())
