"""Where the literals of a file stand, each under a key that survives formatting and edits elsewhere. Pure.

A key is made of names, never of line numbers: `train.py:LR`, `train.py:Config.depth`, `train.py:fit/SGD(momentum)`. That is how
the value of a knob is found again in a file that another rung has rewritten.
"""

import ast
from collections import Counter
from dataclasses import dataclass
from typing import Literal

from loopwright.act.tune.text import Text

__all__ = ["Place", "Setting", "places"]

Setting = bool | int | float | str

Kind = Literal["module", "class", "default", "keyword", "dict", "local", "other"]


@dataclass(frozen=True, slots=True)
class Place:
    """A literal. `name` is what the code calls it (empty where it has no name), `start` and `end` its bytes, sign included."""

    key: str
    name: str
    kind: Kind
    callee: str
    line: int
    start: int
    end: int
    written: str
    value: Setting
    node: ast.expr


def places(text: Text) -> tuple[Place, ...]:
    """Every number, boolean and string that stands alone as an expression, in the order of the text."""
    found: list[tuple[ast.expr, Setting]] = []
    _collect(text.tree, found)
    seen: Counter[str] = Counter()
    result: list[Place] = []
    for node, value in found:
        kind, name, local = _named(node, text)
        seen[local] += 1
        # Two of the same name are told apart by their order.
        key = f"{text.path}:{local}" + (f"#{seen[local]}" if seen[local] > 1 else "")
        start, end = text.span(node)
        callee = _callee_around(node, text)
        result.append(Place(key, name, kind, callee, node.lineno, start, end, text.written(node), value, node))
    return tuple(result)


def _collect(node: ast.AST, found: list[tuple[ast.expr, Setting]]) -> None:
    # A stack of our own: a generated file may be nested deeper than Python recurses.
    stack: list[ast.AST] = [node]
    while stack:
        at = stack.pop()
        if isinstance(at, ast.JoinedStr):
            continue
        if isinstance(at, ast.expr) and (value := _literal(at)) is not None:
            found.append((at, value))
            continue
        stack.extend(reversed(list(ast.iter_child_nodes(at))))
    found.sort(key=lambda pair: (pair[0].lineno, pair[0].col_offset))


def _literal(node: ast.expr) -> Setting | None:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
        value = node.operand.value
        return -value if isinstance(value, int | float) and not isinstance(value, bool) else None
    if isinstance(node, ast.Constant) and isinstance(node.value, bool | int | float | str):
        return node.value
    return None


def _named(node: ast.expr, text: Text) -> tuple[Kind, str, str]:
    """Kind, name and key within the file."""
    parent = text.parents[node]
    scope = _scope(node, text)
    prefix = f"{scope}/" if scope else ""
    if isinstance(parent, ast.Assign | ast.AnnAssign) and parent.value is node:
        target = _target(parent)
        if target:
            kind = _level(parent, text)
            return kind, target.rpartition(".")[2], (f"{scope}.{target}" if kind == "class" else prefix + target)
    if isinstance(parent, ast.keyword) and parent.arg is not None:
        call = text.parents[parent]
        assert isinstance(call, ast.Call | ast.ClassDef)
        callee = dotted(call.func) if isinstance(call, ast.Call) else call.name
        named = _option(call, parent.arg, text) if isinstance(call, ast.Call) else None
        where = f"{callee}({named or parent.arg})"
        return "keyword", named or parent.arg, prefix + where
    if isinstance(parent, ast.arguments):
        argument = _argument(parent, node)
        function = text.parents[parent]
        own = getattr(function, "name", "lambda")
        return "default", argument, f"{prefix}{own}({argument}=)"
    if isinstance(parent, ast.Dict):
        keys = _dict_keys(node, text)
        if keys is not None:
            root, path, top = keys
            return ("dict" if top else "local"), path[-1], f"{prefix}{root}" + "".join(f"[{k}]" for k in path)
    return "other", "", f"{prefix}{_statement(node, text)}"


def dotted(node: ast.AST) -> str:
    """`nn.Linear` as it is written; only the attribute where its owner is no plain name."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        owner = dotted(node.value)
        return f"{owner}.{node.attr}" if owner else node.attr
    return ""


def _target(statement: ast.Assign | ast.AnnAssign) -> str:
    if isinstance(statement, ast.AnnAssign):
        return dotted(statement.target)
    return dotted(statement.targets[0]) if len(statement.targets) == 1 else ""


def _level(statement: ast.AST, text: Text) -> Kind:
    at = text.parents[statement]
    while not isinstance(at, ast.Module):
        if isinstance(at, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            return "local"
        if isinstance(at, ast.ClassDef):
            return "class"
        at = text.parents[at]
    return "module"


def _scope(node: ast.AST, text: Text) -> str:
    names: list[str] = []
    child, at = node, text.parents.get(node)
    while at is not None:
        if isinstance(at, ast.ClassDef) or (
            isinstance(at, ast.FunctionDef | ast.AsyncFunctionDef) and not isinstance(child, ast.arguments)
        ):
            names.append(at.name)
        child, at = at, text.parents.get(at)
    return ".".join(reversed(names))


def _option(call: ast.Call, keyword: str, text: Text) -> str | None:
    """`default=` says nothing: the option's or the field's own name does."""
    if keyword != "default":
        return None
    callee = dotted(call.func).rpartition(".")[2]
    if callee in {"add_argument", "option", "Option"}:
        flags = [a.value for a in call.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
        return max(flags, key=len).lstrip("-").replace("-", "_") if flags else None
    if callee in {"field", "Field"}:
        parent = text.parents[call]
        return _target(parent) or None if isinstance(parent, ast.Assign | ast.AnnAssign) else None
    return None


def _argument(arguments: ast.arguments, node: ast.expr) -> str:
    positional = [*arguments.posonlyargs, *arguments.args]
    for argument, default in zip(reversed(positional), reversed(arguments.defaults), strict=False):
        if default is node:
            return argument.arg
    for argument, other in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        if other is node:
            return argument.arg
    return ""


def _dict_keys(node: ast.expr, text: Text) -> tuple[str, list[str], bool] | None:
    """The name that the dict is assigned to, the keys on the way down, and whether it stands at the module's or a class's level."""
    path: list[str] = []
    child: ast.AST = node
    at = text.parents[node]
    while isinstance(at, ast.Dict):
        key = next((k for k, v in zip(at.keys, at.values, strict=True) if v is child), None)
        if not isinstance(key, ast.Constant) or not isinstance(key.value, str):
            return None
        path.insert(0, key.value)
        child, at = at, text.parents[at]
    if isinstance(at, ast.Assign | ast.AnnAssign) and _target(at):
        return _target(at), path, _level(at, text) in {"module", "class"}
    return None


def _callee_around(node: ast.expr, text: Text) -> str:
    """The function that the literal is given to, however deep in its arguments; empty outside of calls."""
    at: ast.AST | None = text.parents.get(node)
    while at is not None and not isinstance(at, ast.stmt):
        if isinstance(at, ast.Call):
            return dotted(at.func)
        at = text.parents.get(at)
    return ""


def _statement(node: ast.expr, text: Text) -> str:
    """What names a literal without a name: the assignment that it is in, else the kind of its statement."""
    at: ast.AST = node
    while not isinstance(at, ast.stmt):
        at = text.parents[at]
    target = _target(at) if isinstance(at, ast.Assign | ast.AnnAssign) else ""
    return f"{target}~" if target else f"{type(at).__name__}~"
