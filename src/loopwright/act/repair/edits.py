"""An edit is a range of bytes of one file and what stands there afterwards. Everything that makes or checks edits is pure."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from loopwright.act.repair.source import FunctionNode, Source, own_nodes

__all__ = ["Edit", "Operator", "Rewrite", "Sieve", "Site", "atom", "insertion", "replacement"]

_ATOMS = (ast.Name, ast.Constant, ast.Attribute, ast.Call, ast.Subscript, ast.List, ast.Dict, ast.Set, ast.JoinedStr)


@dataclass(frozen=True, slots=True)
class Edit:
    """`start` and `end` are byte offsets in the file as it was; `suspicion` is that of `line`; `weight` orders the edits."""

    path: str
    start: int
    end: int
    replacement: bytes
    operator: str
    line: int
    suspicion: float = 0.0
    weight: float = 0.0

    def apply(self, data: bytes) -> bytes:
        return data[: self.start] + self.replacement + data[self.end :]


@dataclass(frozen=True, slots=True)
class Rewrite:
    """What an operator offers: a range, its new text, and how likely it is among the operator's own edits (0 to 1)."""

    start: int
    end: int
    replacement: bytes
    likely: float = 1.0


@dataclass(frozen=True, slots=True)
class Site:
    """One suspicious statement, with what an operator may look at."""

    source: Source
    statement: ast.stmt
    function: FunctionNode | None

    def nodes(self) -> Iterator[ast.AST]:
        return own_nodes(self.statement)

    @property
    def scope(self) -> ast.AST:
        """Where donors come from: the function around the statement, else the module."""
        return self.function or self.source.tree


class Operator(Protocol):
    """A kind of small mistake, undone. `prior` says how often it was the one that found a fix, per edit tried."""

    @property
    def name(self) -> str: ...

    @property
    def prior(self) -> float: ...

    def rewrites(self, site: Site) -> Iterator[Rewrite]: ...


class Sieve:
    """Lets an edit through once: not when the file no longer parses, nor when its meaning was there before."""

    def __init__(self) -> None:
        self._seen: set[tuple[str, int, str]] = set()
        self._units: set[tuple[str, int]] = set()

    def passes(self, source: Source, node: ast.AST, rewrite: Rewrite | Edit) -> bool:
        unit = source.unit_of(node)
        start, end = source.unit_span(unit)
        if not start <= rewrite.start <= rewrite.end <= end:
            return False
        text = source.data[start : rewrite.start] + rewrite.replacement + source.data[rewrite.end : end]
        meaning = _meaning(text)
        if meaning is None:
            return False
        if (source.path, start) not in self._units:
            self._units.add((source.path, start))
            self._seen.add((source.path, start, _meaning(source.data[start:end]) or ""))
        key = (source.path, start, meaning)
        if key in self._seen:
            return False
        self._seen.add(key)
        return True


def _meaning(unit: bytes) -> str | None:
    """The tree of a unit without its positions; `None` when it does not parse."""
    text = b"if 1:\n" + unit if unit[:1] in {b" ", b"\t"} else unit
    try:
        return ast.dump(ast.parse(text.decode("utf-8")))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def atom(source: Source, node: ast.expr) -> bytes:
    """The text of an expression, in parentheses where it could fall apart beside an operator."""
    text = source.text(node)
    return text if isinstance(node, _ATOMS) else b"(" + text + b")"


def replacement(source: Source, node: ast.AST, text: bytes, likely: float = 1.0) -> Rewrite:
    start, end = source.span(node)
    return Rewrite(start, end, text, likely)


def insertion(source: Source, statement: ast.stmt, lines: tuple[bytes, ...], likely: float = 1.0) -> Rewrite | None:
    """`lines` before a statement, indented like it; `None` when the statement does not begin its line.

    A function or class with decorators is refused too: the new lines would come between them.
    """
    indent = source.indent(statement)
    if indent is None or getattr(statement, "decorator_list", None):
        return None
    start, _ = source.span(statement)
    text = b"".join((b"" if n == 0 else indent) + line + source.newline for n, line in enumerate(lines)) + indent
    return Rewrite(start, start, text, likely)
