"""What one assertion amounts to: how much it says, how loose it is, what it wants to be raised, and a text that renamed locals leave."""

import ast
from collections.abc import Iterator

from loopwright.evaluate.tamper.code import dotted, walk

__all__ = ["MEDIUM", "STRONG", "WEAK", "key_of", "number_of", "raises_of", "slack_of", "strength_of"]

WEAK, MEDIUM, STRONG = 1, 2, 3


def strength_of(test: ast.expr) -> int:
    match test:
        case ast.Constant():
            return 0
        case ast.Tuple(elts=[_, *_]) | ast.List(elts=[_, *_]) | ast.Lambda() | ast.JoinedStr():
            return 0
        case ast.BoolOp(op=ast.Or(), values=values):
            return min(
                min(strength_of(v) for v in values) if any(strength_of(v) == 0 for v in values) else MEDIUM, MEDIUM
            )
        case ast.BoolOp(op=ast.And(), values=values):
            return max(strength_of(v) for v in values)
        case ast.UnaryOp(op=ast.Not(), operand=inner):
            return MEDIUM if strength_of(inner) else 0
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            if ast.dump(left) == ast.dump(right) and not any(isinstance(n, ast.Call) for n in walk([left])):
                return 0
            if isinstance(left, ast.Call) and dotted(left.func, {}) == "type":
                return WEAK  # as much as isinstance says
            if isinstance(op, ast.Eq | ast.Is):
                return STRONG
            return WEAK if isinstance(op, ast.IsNot) else MEDIUM
        case ast.Compare():
            return MEDIUM
        case ast.Call(func=ast.Name(id="isinstance" | "hasattr" | "callable")):
            return WEAK
        case ast.Call(func=ast.Name(id="all" | "any" | "bool") | ast.Attribute()):
            return MEDIUM if isinstance(test.func, ast.Attribute) else WEAK
        case _:
            return WEAK


def key_of(node: ast.AST, local: frozenset[str]) -> str:
    """The node's text with every local name as `_`: a renamed local leaves it the same."""
    parts: list[str] = []
    for part in walk([node]):
        kind = type(part).__name__
        if isinstance(part, ast.Name):
            parts.append("_" if part.id in local else part.id)
        elif isinstance(part, ast.Attribute):
            parts.append("." + part.attr)
        elif isinstance(part, ast.Constant):
            parts.append(repr(part.value))
        elif isinstance(part, ast.Compare):
            parts.append("<" + " ".join(type(o).__name__ for o in part.ops))
        elif isinstance(part, ast.BinOp | ast.BoolOp | ast.UnaryOp):
            parts.append(type(part.op).__name__)
        elif isinstance(part, ast.keyword):
            parts.append(f"{part.arg}=")
        elif isinstance(part, ast.arg):
            parts.append("_")
        else:
            parts.append(kind)
    return " ".join(parts)


def raises_of(call: ast.Call) -> str:
    """What is expected to be raised and its message, as written."""
    expected = ast.unparse(call.args[0]) if call.args else ""
    match = next((ast.unparse(k.value) for k in call.keywords if k.arg in ("match", "expected_regex")), "")
    name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    if not match and name.endswith("Regex") and len(call.args) > 1:
        match = ast.unparse(call.args[1])
    return f"{expected}|{match}"


def slack_of(word: ast.keyword) -> Iterator[float]:
    value = number_of(word.value)
    if value is None:
        return
    if word.arg in ("abs", "rel", "delta", "atol", "rtol", "tol", "tolerance", "abs_tol", "rel_tol"):
        yield value
    elif word.arg in ("places", "decimal", "significant"):
        yield 10.0 ** -min(value, 300)


def number_of(node: ast.expr) -> float | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
        return float(node.value)
    return None
