"""The wrong attribute of the right object: its siblings are those that the file uses on an object of the same name."""

import ast
from collections.abc import Iterator

from loopwright.act.repair.edits import Rewrite, Site

__all__ = ["Attribute"]

_MAX_SIBLINGS = 12


class Attribute:
    name = "attribute"
    prior = 0.5

    def rewrites(self, site: Site) -> Iterator[Rewrite]:
        source = site.source
        seen = _attributes(site)
        fields = _fields(site)
        for node in site.nodes():
            if not isinstance(node, ast.Attribute):
                continue
            _, end = source.span(node)
            start = end - len(node.attr.encode())
            if source.data[start:end] != node.attr.encode():
                continue
            own = seen.get(source.text(node.value), [])
            beside = _beside(site, node)
            siblings = [*((a, 1.0 if a in beside else 0.7) for a in own), *((a, 0.5) for a in fields if a not in own)]
            for attribute, likely in siblings[:_MAX_SIBLINGS]:
                if attribute != node.attr:
                    yield Rewrite(start, end, attribute.encode(), likely)


def _attributes(site: Site) -> dict[bytes, list[str]]:
    """Per object, as written, the attributes that the file uses of it."""
    found: dict[bytes, dict[str, None]] = {}
    for node in ast.walk(site.source.tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name | ast.Attribute):
            found.setdefault(site.source.text(node.value), {})[node.attr] = None
    return {base: list(names) for base, names in found.items()}


def _beside(site: Site, node: ast.Attribute) -> set[str]:
    """Attributes that stand, anywhere in the file, as the other operand of what `node` is compared or calculated with."""
    partners = set(_operands(site, site.source.parents[node])) - {site.source.text(node)}
    return {
        operand.attr
        for other in ast.walk(site.source.tree)
        if isinstance(other, ast.BinOp | ast.Compare) and partners & set(_operands(site, other))
        for operand in ast.iter_child_nodes(other)
        if isinstance(operand, ast.Attribute)
    }


def _operands(site: Site, node: ast.AST) -> list[bytes]:
    if not isinstance(node, ast.BinOp | ast.Compare):
        return []
    return [
        site.source.text(child) for child in ast.iter_child_nodes(node) if isinstance(child, ast.Name | ast.Attribute)
    ]


def _fields(site: Site) -> list[str]:
    """Annotated fields of the file's classes: dataclasses and the like."""
    return [
        statement.target.id
        for cls in ast.walk(site.source.tree)
        if isinstance(cls, ast.ClassDef)
        for statement in cls.body
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name)
    ]
