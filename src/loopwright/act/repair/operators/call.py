"""The wrong one of two things that are called alike: `min` for `max`, `lstrip` for `strip`; or a call that should not be, or is missing."""

import ast
from collections.abc import Iterator

from loopwright.act.repair.edits import Rewrite, Site, replacement

__all__ = ["Call"]

_SIBLINGS = (
    ("min", "max", "sum"),
    ("any", "all"),
    ("floor", "ceil", "round", "trunc", "int"),
    ("append", "extend", "add", "insert"),
    ("strip", "lstrip", "rstrip"),
    ("find", "rfind", "index", "rindex"),
    ("split", "rsplit", "splitlines", "partition", "rpartition"),
    ("startswith", "endswith"),
    ("upper", "lower", "casefold", "title", "capitalize"),
    ("ljust", "rjust", "center"),
    ("match", "search", "fullmatch", "findall"),
    ("keys", "values", "items"),
    ("pop", "popleft", "remove", "discard"),
    ("appendleft", "append"),
    ("union", "intersection", "difference", "symmetric_difference"),
    ("update", "setdefault"),
    ("issubset", "issuperset"),
    ("isdigit", "isalpha", "isalnum", "isnumeric", "isspace"),
    ("bisect_left", "bisect_right"),
    ("heappush", "heappop"),
    ("sorted", "reversed", "list"),
    ("days", "seconds", "total_seconds"),
    ("list", "tuple", "set", "sorted"),
    ("int", "float", "str", "bool"),
    ("ROUND_HALF_UP", "ROUND_HALF_EVEN", "ROUND_HALF_DOWN", "ROUND_UP", "ROUND_DOWN", "ROUND_FLOOR", "ROUND_CEILING"),
)
_MAX_LOCAL = 12


class Call:
    name = "callee"
    prior = 0.6

    def rewrites(self, site: Site) -> Iterator[Rewrite]:
        source = site.source
        for node in site.nodes():
            if isinstance(node, ast.Attribute):
                _, end = source.span(node)
                for other, likely in _siblings(node.attr):
                    yield Rewrite(end - len(node.attr.encode()), end, other, likely)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                for other, likely in _siblings(node.id):
                    yield replacement(source, node, other, likely)
            if isinstance(node, ast.Call):
                yield from _reshaped(site, node)


def _siblings(name: str) -> Iterator[tuple[bytes, float]]:
    for family in _SIBLINGS:
        if name in family:
            yield from ((other.encode(), 1.0 if len(family) <= 3 else 0.6) for other in family if other != name)


def _reshaped(site: Site, node: ast.Call) -> Iterator[Rewrite]:
    source = site.source
    if len(node.args) == 1 and not node.keywords and not isinstance(node.args[0], ast.Starred):
        yield replacement(source, node, b"(" + source.text(node.args[0]) + b")", 0.4)
    if isinstance(node.func, ast.Attribute):
        yield replacement(source, node, source.text(node.func.value), 0.3)
        if not node.args and not node.keywords:
            yield replacement(source, node, source.text(node.func), 0.1)
    if isinstance(node.func, ast.Name):
        names = [s.name for s in site.source.tree.body if isinstance(s, ast.FunctionDef | ast.AsyncFunctionDef)]
        for name in [n for n in names if n != node.func.id][:_MAX_LOCAL]:
            yield replacement(source, node.func, name.encode(), 0.3)
