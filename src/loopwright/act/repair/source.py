"""One Python file as bytes and as a tree, with exact byte positions between the two. Pure.

The file is never printed back from its tree: an edit replaces a range of bytes, everything else stays byte for byte (line ends,
tabs, comments, a byte order mark).
"""

import ast
import bisect
import re
from collections.abc import Iterator
from functools import cached_property

__all__ = ["FunctionNode", "Source", "own_lines", "own_nodes", "statements"]

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef

_BOM = b"\xef\xbb\xbf"
# What the tokenizer takes for a line end; a form feed is none.
_LINE_END = re.compile(rb"\r\n|\r|\n")
_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")


class Source:
    """A parsed file. Raises: `SyntaxError` or `ValueError` when `data` is not Python in UTF-8."""

    def __init__(self, path: str, data: bytes) -> None:
        self.path = path
        self.data = data
        self._offset = len(_BOM) if data.startswith(_BOM) else 0
        text = data[self._offset :].decode("utf-8")
        declared = re.match(
            rb"(?:[^\r\n]*(?:\r\n|\r|\n))?[ \t\f]*#[^\r\n]*?coding[:=][ \t]*([-\w.]+)", data[self._offset :]
        )
        if declared and declared[1].lower().replace(b"_", b"-") not in {b"utf-8", b"utf8", b"ascii", b"us-ascii"}:
            raise ValueError(f"{path!r} declares the encoding {declared[1]!r}; expected UTF-8")
        self.tree = ast.parse(text, filename=path)
        self._starts = [self._offset, *(m.end() for m in _LINE_END.finditer(data, self._offset))]

    @cached_property
    def newline(self) -> bytes:
        found = _LINE_END.search(self.data)
        return found[0] if found else b"\n"

    @cached_property
    def parents(self) -> dict[ast.AST, ast.AST]:
        return {child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)}

    def span(self, node: ast.AST) -> tuple[int, int]:
        """The byte range of an expression or statement, decorators left out."""
        line, column = getattr(node, "lineno", 0), getattr(node, "col_offset", 0)
        end_line, end_column = getattr(node, "end_lineno", 0), getattr(node, "end_col_offset", 0)
        return self._starts[line - 1] + column, self._starts[end_line - 1] + end_column

    def text(self, node: ast.AST) -> bytes:
        start, end = self.span(node)
        return self.data[start:end]

    def indent(self, statement: ast.stmt) -> bytes | None:
        """The white space in front of a statement; `None` when something else stands before it on its line."""
        start, _ = self.span(statement)
        before = self.data[self._starts[statement.lineno - 1] : start]
        return before if not before.strip(b" \t") else None

    def line(self, number: int) -> str:
        """A line as text, for people; empty when there is none."""
        if not 1 <= number <= len(self._starts):
            return ""
        end = self._starts[number] if number < len(self._starts) else len(self.data)
        return self.data[self._starts[number - 1] : end].decode("utf-8", "replace").strip()

    def line_at(self, position: int) -> int:
        """The line, from 1, that holds a byte."""
        return bisect.bisect_right(self._starts, position)

    def unit_span(self, unit: ast.stmt) -> tuple[int, int]:
        """The byte range of a unit, its decorators and its indentation included."""
        first = min([unit.lineno, *(d.lineno for d in getattr(unit, "decorator_list", ()))])
        start, end = self.span(unit)
        # Two statements on one line (`a = 1; b = 2`) start behind the line's start.
        return (start if self.indent(unit) is None else self._starts[first - 1]), end

    def unit_of(self, node: ast.AST) -> ast.stmt:
        """The smallest part around `node` that parses by itself: the innermost function, else the top-level statement.

        In a class of a thousand lines it costs a hundredth to look at one method instead of the class.
        """
        while True:
            parent = self.parents[node]
            is_function = isinstance(node, FunctionNode) and self.indent(node) is not None
            if isinstance(parent, ast.Module) or is_function:
                assert isinstance(node, ast.stmt)
                return node
            node = parent

    def function_of(self, node: ast.AST) -> FunctionNode | None:
        """The innermost function around `node`; `None` at module or class level."""
        at: ast.AST | None = self.parents.get(node)
        while at is not None and not isinstance(at, FunctionNode):
            at = self.parents.get(at)
        return at


def statements(tree: ast.AST) -> Iterator[ast.stmt]:
    """Every statement below `tree`, in the order of the text."""
    for field in _BLOCKS:
        for child in getattr(tree, field, ()) or ():
            if isinstance(child, ast.stmt):
                yield child
            yield from statements(child)


def own_nodes(statement: ast.stmt) -> Iterator[ast.AST]:
    """The nodes of a statement without those of the statements inside it: of an `if` only its condition.

    A function's own nodes are its parameters' defaults; its decorators and annotations are left out.
    """
    if isinstance(statement, FunctionNode):
        roots: list[ast.AST] = [*statement.args.defaults, *(d for d in statement.args.kw_defaults if d is not None)]
    else:
        skipped = {*_BLOCKS, "decorator_list", "annotation"}
        roots = []
        for name, value in ast.iter_fields(statement):
            if name in skipped and not (name == "body" and isinstance(value, ast.AST)):
                continue
            roots += [v for v in (value if isinstance(value, list) else [value]) if isinstance(v, ast.AST)]
    for root in roots:
        yield from ast.walk(root)


def own_lines(statement: ast.stmt) -> range:
    """The lines that are a statement's own: all of a simple statement, the header of a compound one."""
    last = statement.end_lineno or statement.lineno
    inner = [
        child.lineno
        for field in _BLOCKS
        for child in getattr(statement, field, ()) or ()
        if isinstance(child, ast.stmt)
    ]
    if inner:
        last = max(statement.lineno, min(inner) - 1)
    return range(statement.lineno, last + 1)
