"""Which lines of a Python file a change wrote that can be run at all, and what of them was. Pure: texts in, line numbers out."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher

__all__ = ["Changed", "changed_lines", "not_run"]

_Span = tuple[int, int]
_LONG_LINES = 2_000


@dataclass(frozen=True, slots=True)
class Changed:
    """The lines of one file's new text that were added or changed and belong to a statement. `spans` has the first and the last line
    of that statement: it ran when any line of it did."""

    spans: Mapping[int, _Span]


def changed_lines(old: str | None, new: str) -> Changed:
    """`old` is `None` for a new file. Blank lines, comments, docstrings, declarations without effect (`global`, a bare annotation) and
    what only type checkers read are no code; text that is no Python has none."""
    try:
        tree = ast.parse(new)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return Changed({})
    lines = new.split("\n")
    spans: dict[int, _Span] = {}
    for first, last in _statements(tree):
        spans.update((number, (first, last)) for number in range(first, last + 1))
    written = _written((old or "").split("\n"), lines)
    code = {n for n in written if n in spans and lines[n - 1].strip() and not lines[n - 1].lstrip().startswith("#")}
    return Changed({n: spans[n] for n in sorted(code)})


def not_run(changed: Changed, ran: frozenset[int]) -> tuple[int, ...]:
    """The changed lines whose statement did not run, ordered."""
    return tuple(n for n, (first, last) in changed.spans.items() if ran.isdisjoint(range(first, last + 1)))


def _written(old: list[str], new: list[str]) -> set[int]:
    written: set[int] = set()
    # In long files lines that stand there often are passed over: comparing each with each takes the square of their number.
    matcher = SequenceMatcher(None, old, new, autojunk=len(new) > _LONG_LINES)
    for kind, _, _, start, end in matcher.get_opcodes():
        if kind in {"replace", "insert"}:
            written.update(range(start + 1, end + 1))
    return written


def _statements(node: ast.AST) -> Iterator[_Span]:
    """The lines of every statement, outer ones first; of one with a body the lines before it."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt):
            if _is_code(child):
                yield _first(child), _last(child)
            if isinstance(child, ast.If) and _is_for_types(child.test):
                for other in child.orelse:
                    yield from _statements(ast.Module([other], []))
                continue
        yield from _statements(child)


def _is_code(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Expr):
        return not isinstance(statement.value, ast.Constant)
    if isinstance(statement, ast.AnnAssign):
        return statement.value is not None
    return not isinstance(statement, ast.Global | ast.Nonlocal)


def _is_for_types(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else test.id if isinstance(test, ast.Name) else ""
    return name == "TYPE_CHECKING"


def _first(statement: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(statement, "decorator_list", [])
    return min([statement.lineno, *(d.lineno for d in decorators)])


def _last(statement: ast.stmt) -> int:
    if isinstance(statement, ast.Try | ast.TryStar):
        return statement.lineno
    if isinstance(statement, ast.Match):
        return statement.subject.end_lineno or statement.lineno
    body: list[ast.stmt] | None = getattr(statement, "body", None)
    if body:
        return max(statement.lineno, _first(body[0]) - 1)
    return statement.end_lineno or statement.lineno
