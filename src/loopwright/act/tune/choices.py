"""Which strings a program knows as the values of a name: those that it compares it with, looks up by it, or offers for it. Pure."""

import ast
from collections import defaultdict
from collections.abc import Iterable, Mapping

from loopwright.act.tune.places import dotted
from loopwright.act.tune.text import Text

__all__ = ["seen_choices"]


def seen_choices(text: Text) -> Mapping[str, tuple[str, ...]]:
    """By the lower-case name (`act` for `args.act`, `config["act"]`, `ACT`), in the order in which they appear in the file."""
    found: defaultdict[str, dict[str, None]] = defaultdict(dict)
    tables = _tables(text)
    for node in ast.walk(text.tree):
        name, strings = _seen(node, tables)
        if name:
            found[name].update(dict.fromkeys(strings))
    return {name: tuple(strings) for name, strings in found.items()}


def _seen(node: ast.AST, tables: Mapping[str, tuple[str, ...]]) -> tuple[str, tuple[str, ...]]:
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        return _name(node.left), _compared(node.ops[0], node.comparators[0], tables)
    if isinstance(node, ast.Match):
        return _name(node.subject), tuple(s for case in node.cases for s in _pattern(case.pattern))
    if isinstance(node, ast.Subscript):
        return _name(node.slice), tables.get(dotted(node.value), ())
    if isinstance(node, ast.Call):
        return _from_call(node, tables)
    if isinstance(node, ast.AnnAssign | ast.arg) and node.annotation is not None:
        name = _name(node.target) if isinstance(node, ast.AnnAssign) else node.arg.lower()
        return name, _literal_type(node.annotation)
    return "", ()


def _compared(op: ast.cmpop, right: ast.expr, tables: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    if isinstance(op, ast.Eq | ast.NotEq):
        return _strings([right])
    if isinstance(op, ast.In | ast.NotIn):
        if isinstance(right, ast.Tuple | ast.List | ast.Set):
            return _strings(right.elts)
        return tables.get(dotted(right), ())
    return ()


def _from_call(call: ast.Call, tables: Mapping[str, tuple[str, ...]]) -> tuple[str, tuple[str, ...]]:
    if isinstance(call.func, ast.Attribute) and call.func.attr == "get" and call.args:
        return _name(call.args[0]), tables.get(dotted(call.func.value), ())
    offered = next((k.value for k in call.keywords if k.arg == "choices"), None)
    flags = _strings(call.args)
    if isinstance(offered, ast.Tuple | ast.List) and flags:
        return max(flags, key=len).lstrip("-").replace("-", "_").lower(), _strings(offered.elts)
    return "", ()


def _literal_type(annotation: ast.expr) -> tuple[str, ...]:
    if isinstance(annotation, ast.Subscript) and dotted(annotation.value).rpartition(".")[2] == "Literal":
        inner = annotation.slice
        return _strings(inner.elts if isinstance(inner, ast.Tuple) else [inner])
    return ()


def _tables(text: Text) -> Mapping[str, tuple[str, ...]]:
    """The module's dicts, tuples and lists of strings that have a name."""
    found: dict[str, tuple[str, ...]] = {}
    for statement in text.tree.body:
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            value = statement.value
            members = [k for k in value.keys if k is not None] if isinstance(value, ast.Dict) else []
            if isinstance(value, ast.Tuple | ast.List | ast.Set):
                members = value.elts
            strings = _strings(members)
            if strings and len(strings) == len(members):
                found[dotted(statement.targets[0])] = strings
    return found


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id.lower()
    if isinstance(node, ast.Attribute):
        return node.attr.lower()
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
        return node.slice.value.lower()
    return ""


def _strings(nodes: Iterable[ast.expr]) -> tuple[str, ...]:
    return tuple(n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str))


def _pattern(pattern: ast.pattern) -> tuple[str, ...]:
    if isinstance(pattern, ast.MatchValue):
        return _strings([pattern.value])
    if isinstance(pattern, ast.MatchOr):
        return tuple(s for p in pattern.patterns for s in _pattern(p))
    return ()
