"""Whether two versions of a file are the same program, but for what cannot make a difference. Pure."""

import ast
from dataclasses import dataclass

__all__ = ["Allowed", "same_program"]


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a change was meant to do and may therefore have done. `renamed`: the name that is new in the file, and the one whose place it
    takes. `extracted`: a constant that is new at the top of the file. `imports`: the order of plain imports next to each other."""

    renamed: tuple[str, str] | None = None
    extracted: str | None = None
    hints: bool = False
    docstrings: bool = False
    imports: bool = False


def same_program(before: bytes, after: bytes, allowed: Allowed = Allowed()) -> bool:
    """Whether the trees are equal once what was allowed is undone; comments and layout are in no tree."""
    try:
        old, new = ast.parse(before), ast.parse(after)
    except (SyntaxError, ValueError, RecursionError):
        return False
    if allowed.renamed is not None:
        fresh, was = allowed.renamed
        if fresh in _identifiers(old) or not _renamed_wholly(new, fresh, was):
            return False
        _rename(new, fresh, was)
    if allowed.extracted is not None:
        if allowed.extracted in _identifiers(old):
            return False
        new = _inlined(new, allowed.extracted)
    for tree in (old, new):
        _normalise(tree, allowed)
    return ast.dump(old) == ast.dump(new)


def _identifiers(tree: ast.AST) -> frozenset[str]:
    """Every name, and every text: what reads names from texts (`globals()[…]`, `getattr`) reads them from somewhere."""
    found: set[str] = set()
    for node in ast.walk(tree):
        for _, value in ast.iter_fields(node):
            if isinstance(value, str):
                found.add(value)
            elif isinstance(value, list):
                found.update(item for item in value if isinstance(item, str))
    return frozenset(found)


def _renamed_wholly(tree: ast.AST, fresh: str, was: str) -> bool:
    """Whether the old name is nowhere left in the function whose local was renamed: a half renamed one is another variable."""
    places = _count(tree, fresh)
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    # The last in the order of the walk is the innermost that has them all.
    holding = [function for function in functions if _count(function, fresh) == places]
    return bool(places) and bool(holding) and _count(holding[-1], was) == 0


def _count(tree: ast.AST, name: str) -> int:
    return sum(isinstance(n, ast.Name) and n.id == name for n in ast.walk(tree))


def _rename(tree: ast.AST, fresh: str, was: str) -> None:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id == fresh:
            node.id = was


class _Inline(ast.NodeTransformer):
    def __init__(self, name: str, value: ast.Constant) -> None:
        self._name = name
        self._value = value

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id == self._name and isinstance(node.ctx, ast.Load):
            return ast.Constant(self._value.value, self._value.kind)
        return node


def _inlined(tree: ast.Module, name: str) -> ast.Module:
    """`tree` with the constant `name` in its places and no assignment of it; where it is no such constant, `tree` as it is."""
    for statement in tree.body:
        if (
            isinstance(statement, ast.Assign)
            and isinstance(statement.value, ast.Constant)
            and [t.id for t in statement.targets if isinstance(t, ast.Name)] == [name]
        ):
            rest = ast.Module([s for s in tree.body if s is not statement], tree.type_ignores)
            inlined: ast.Module = _Inline(name, statement.value).visit(rest)
            return inlined
    return tree


def _normalise(tree: ast.Module, allowed: Allowed) -> None:
    for node in ast.walk(tree):
        if allowed.docstrings and isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                first.value = ast.Constant("")
        if allowed.hints and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs):
                argument.annotation = None
    if allowed.imports:
        body: list[ast.stmt] = []
        group: list[ast.stmt] = []
        for statement in [*tree.body, None]:
            if isinstance(statement, ast.Import):
                group.append(statement)
                continue
            body += sorted(group, key=ast.dump)
            group = []
            if statement is not None:
                body.append(statement)
        tree.body = body
