"""A Python file as bytes and as a tree, and edits of it by place, so that a change shows as what it is and nothing is reformatted."""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

__all__ = ["Draft", "Edit", "Function", "Seed", "Source", "applied", "nodes", "parse_source"]

_MAX_BYTES = 200 << 10


@dataclass(frozen=True, slots=True)
class Edit:
    """`text` in the place of the bytes from `start` to `end`."""

    start: int
    end: int
    text: bytes


@dataclass(frozen=True, slots=True)
class Seed:
    """One change of one file. `kind` names what it is, `line` is where it begins in the old file, `content` the file with it."""

    kind: str
    path: str
    line: int
    content: bytes


Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Source:
    path: str
    data: bytes
    tree: ast.Module
    lines: tuple[int, ...]
    """Where each line begins, in bytes."""

    def at(self, line: int, column: int) -> int:
        return self.lines[line - 1] + column

    def span(self, node: ast.expr | ast.stmt | ast.arg) -> tuple[int, int]:
        """Start and end in bytes."""
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self.at(node.lineno, node.col_offset), self.at(node.end_lineno, node.end_col_offset)

    def text(self, node: ast.expr | ast.stmt) -> bytes:
        start, end = self.span(node)
        return self.data[start:end]

    def alone(self, node: ast.stmt) -> bool:
        """Whether no other statement stands on its lines: only blanks before it, and blanks or a comment behind."""
        start, end = self.span(node)
        line_end = self.data.find(b"\n", end)
        after = self.data[end : line_end if line_end >= 0 else len(self.data)].strip()
        before = self.data[self.lines[node.lineno - 1] : start]
        return not before.strip() and (not after or after.startswith(b"#"))

    def functions(self) -> Iterator[Function]:
        return (n for n in ast.walk(self.tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))


@dataclass(frozen=True, slots=True)
class Draft:
    """A change that was found and not made yet: of the thousands that a repository offers a few dozen are looked at."""

    kind: str
    source: Source
    line: int
    edits: tuple[Edit, ...]

    def seed(self) -> Seed:
        return Seed(self.kind, self.source.path, self.line, applied(self.source.data, self.edits))


def parse_source(path: str, data: bytes) -> Source | None:
    """`None` for what is no Python, is large, or is written in a way whose places cannot be counted (another coding, a carriage
    return, a byte order mark)."""
    if len(data) > _MAX_BYTES or b"\r" in data or b"\x0c" in data or data.startswith(b"\xef\xbb\xbf"):
        return None
    try:
        data.decode("utf-8")
        tree = ast.parse(data)
    except (ValueError, SyntaxError, RecursionError):
        return None
    lines = [0]
    for line in data.split(b"\n"):
        lines.append(lines[-1] + len(line) + 1)
    return Source(path, data, tree, tuple(lines))


def nodes(root: ast.AST) -> Iterator[ast.AST]:
    """Everything below `root` that an edit may touch, in the order of the text: not what stands in an f-string (Python 3.11 gives it
    wrong places), nor annotations, defaults, decorators, patterns and docstrings, nor what is below a nested function or class."""
    for name, value in ast.iter_fields(root):
        if name in {"annotation", "returns", "decorator_list", "pattern", "type_params"}:
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.JoinedStr | ast.arguments | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                continue
            if isinstance(child, ast.AST):
                yield child
                yield from nodes(child)


def applied(data: bytes, edits: Sequence[Edit]) -> bytes:
    """`data` with all `edits`, which do not overlap."""
    for edit in sorted(edits, key=lambda e: e.start, reverse=True):
        data = data[: edit.start] + edit.text + data[edit.end :]
    return data
