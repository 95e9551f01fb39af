"""A Python file as the detectors see it: parsed once, and only the statements that an edit touched are looked into.

Nothing is imported or run. What cannot be parsed (broken, too deep, too large) is `None`: running it will say why.
"""

import ast
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

__all__ = ["Code", "Function", "aliases_of", "dotted", "functions", "names_stored", "parse", "statements", "walk"]

MAX_CHARS = 1_000_000

Function = ast.FunctionDef | ast.AsyncFunctionDef
_FIELDS: dict[type, tuple[str, ...]] = {}


@dataclass(frozen=True, slots=True)
class Code:
    """`aliases` maps a name of the file to the dotted name that its imports give it."""

    text: str
    tree: ast.Module
    lines: tuple[str, ...] = field(repr=False)
    aliases: dict[str, str] = field(repr=False)

    def segment(self, node: ast.stmt) -> str:
        """The whole lines of a statement, its decorators included."""
        return "\n".join(self.lines[first_line(node) - 1 : node.end_lineno])


def parse(text: str) -> Code | None:
    if len(text) > MAX_CHARS:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return Code(text, tree, tuple(text.splitlines()), aliases_of(tree.body))


def first_line(node: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(d.lineno for d in decorators)])


def aliases_of(body: Iterable[ast.AST]) -> dict[str, str]:
    """The imports among `body` and in its top-level `if` and `try` blocks: name → dotted name."""
    found: dict[str, str] = {}
    for node in body:
        if isinstance(node, ast.Import):
            for name in node.names:
                found[name.asname or name.name.partition(".")[0]] = (
                    name.name if name.asname else name.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            for name in node.names:
                found[name.asname or name.name] = f"{module}.{name.name}"
        elif isinstance(node, ast.If | ast.Try):
            found |= aliases_of(ast.iter_child_nodes(node))
        elif isinstance(node, ast.ExceptHandler):
            found |= aliases_of(node.body)
    return found


def dotted(node: ast.AST, aliases: dict[str, str]) -> str:
    """`os.path.join` for such an expression, with the imports' real names; "" for anything else."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ""
    parts.append(aliases.get(node.id, node.id))
    return ".".join(reversed(parts))


def walk(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """All nodes below and with `nodes`. Twice as fast as `ast.walk`: contexts and operators are left out."""
    todo = list(nodes)
    todo.reverse()
    while todo:
        node = todo.pop()
        yield node
        kind = type(node)
        fields = _FIELDS.get(kind)
        if fields is None:
            fields = _FIELDS[kind] = tuple(f for f in kind._fields if f not in ("ctx", "op", "ops", "type_comment"))
        for name in fields:
            value = getattr(node, name, None)
            if isinstance(value, list):
                todo.extend(item for item in value if isinstance(item, ast.AST))
            elif isinstance(value, ast.AST):
                todo.append(value)


def statements(code: Code) -> Iterator[tuple[str, ast.stmt]]:
    """The statements at the top and in classes, each with its text; a class itself stands for its head only (`class X(Y):`)."""
    yield from _statements(code, code.tree.body)


def _statements(code: Code, body: list[ast.stmt]) -> Iterator[tuple[str, ast.stmt]]:
    for node in body:
        if isinstance(node, ast.ClassDef):
            head = "\n".join(code.lines[first_line(node) - 1 : node.body[0].lineno - 1])
            shell = ast.ClassDef(node.name, node.bases, node.keywords, [], node.decorator_list)
            yield head, ast.copy_location(shell, node)
            yield from _statements(code, node.body)
        else:
            yield code.segment(node), node


def functions(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, Function, ast.ClassDef | None]]:
    """Functions and methods that a runner could find, `Class.method`; those under `if False` are not there."""
    yield from _functions(body, prefix, None)


def _functions(
    body: list[ast.stmt], prefix: str, owner: ast.ClassDef | None
) -> Iterator[tuple[str, Function, ast.ClassDef | None]]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield prefix + node.name, node, owner
        elif isinstance(node, ast.ClassDef):
            yield from _functions(node.body, f"{prefix}{node.name}.", node)
        elif isinstance(node, ast.If):
            never = isinstance(node.test, ast.Constant) and not node.test.value
            yield from _functions(node.orelse if never else [*node.body, *node.orelse], prefix, owner)
        elif isinstance(node, ast.Try):
            handlers = [s for handler in node.handlers for s in handler.body]
            yield from _functions([*node.body, *handlers, *node.orelse], prefix, owner)
        elif isinstance(node, ast.With):
            yield from _functions(node.body, prefix, owner)


def names_stored(function: Function) -> frozenset[str]:
    """Every name that the function binds: parameters, assignments, loops, `with … as`."""
    found = {a.arg for a in walk([function.args]) if isinstance(a, ast.arg)}
    for node in walk(function.body):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
    return frozenset(found)
