"""One Python file as text in its own encoding, with exact byte positions. Pure.

Positions count in the UTF-8 form of the text, because that is what the parser counts in; `encoded` brings an edited UTF-8 form
back into the file's own encoding. A file that would not come back byte for byte is refused at the start.
"""

import ast
import io
import re
import tokenize
import warnings
from collections.abc import Iterator
from functools import cached_property

__all__ = ["MAX_BYTES", "Text", "Unreadable", "parsed"]

MAX_BYTES = 1 << 20
"""A larger file is data in the shape of a program."""

_BOM = b"\xef\xbb\xbf"
# What the parser takes for a line end; a form feed is none.
_LINE_END = re.compile(rb"\r\n|\r|\n")


class Unreadable(ValueError):
    """Why a file cannot be searched for knobs, in words that follow its path."""


class Text:
    """A parsed file. Raises: `Unreadable`."""

    def __init__(self, path: str, data: bytes) -> None:
        if len(data) > MAX_BYTES:
            raise Unreadable(f"is larger than {MAX_BYTES >> 10} KiB ({len(data) >> 10} KiB)")
        self.path = path
        self._bom = _BOM if data.startswith(_BOM) else b""
        try:
            # The cookie ends with its line, whatever ends that; `readline` knows one kind of end only.
            first = io.BytesIO(_LINE_END.sub(b"\n", data))
            self._encoding = "utf-8" if self._bom else tokenize.detect_encoding(first.readline)[0]
            text = data[len(self._bom) :].decode(self._encoding)
            exact = text.encode(self._encoding) == data[len(self._bom) :]
        except (SyntaxError, UnicodeError, LookupError) as error:
            raise Unreadable(f"is not text in its encoding ({_one_line(error)})") from error
        if not exact:
            raise Unreadable(f"does not come back byte for byte from its encoding {self._encoding!r}")
        try:
            self.tree = parsed(text)
        except SyntaxError as error:
            raise Unreadable(f"is not Python: line {error.lineno}: {error.msg}") from error
        except (ValueError, RecursionError, MemoryError) as error:
            raise Unreadable(f"is not Python: {_one_line(error)}") from error
        self.data = text.encode("utf-8")
        self._text = text
        self._starts = [0, *(m.end() for m in _LINE_END.finditer(self.data))]

    def span(self, node: ast.expr) -> tuple[int, int]:
        """The byte range of an expression in `data`."""
        end_line, end_column = node.end_lineno or node.lineno, node.end_col_offset or 0
        return self._starts[node.lineno - 1] + node.col_offset, self._starts[end_line - 1] + end_column

    def written(self, node: ast.expr) -> str:
        start, end = self.span(node)
        return self.data[start:end].decode("utf-8")

    def encoded(self, data: bytes) -> bytes:
        """The edited `data` as the file's bytes. Raises: `UnicodeEncodeError` for a character that its encoding does not have."""
        return self._bom + data.decode("utf-8").encode(self._encoding)

    def comments(self) -> Iterator[tuple[int, str]]:
        """Line and text of every comment, its `#` included."""
        text = self._text.replace("\r\n", "\n").replace("\r", "\n")
        try:
            for token in tokenize.generate_tokens(io.StringIO(text).readline):
                if token.type == tokenize.COMMENT:
                    yield token.start[0], token.string
        except (tokenize.TokenError, SyntaxError):
            # The parser took the file; what the slower tokenizer stumbles over can only be at its very end.
            return

    @cached_property
    def parents(self) -> dict[ast.AST, ast.AST]:
        return {child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)}


def parsed(text: str) -> ast.Module:
    """The tree; what the parser thinks of the style (an unknown escape in a string) is not for us to print."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text)


def _one_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
