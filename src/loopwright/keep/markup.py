"""Untrusted text inside Markdown: it is shown as it was written and can be nothing else.

Backslash escapes are not enough: renderers make links of bare addresses, mentions of `@name` and issues of `#1` after they are
taken away. Text of harmless characters stands as prose; anything else stands in a code span, where Markdown reads nothing.
"""

import re
from typing import Final

from loopwright.views.text import one_line, plain

__all__ = ["code", "fenced", "prose"]

INLINE_CHARS: Final = 400

_HARMLESS: Final = re.compile(r"[^\W_](?:[^\W_]|[ ,.;:()'\"/%=?!+–—…→×-])*")
_NOT_PROSE: Final = re.compile(r"\d+[.)]|.*(?:://|www\.|ftp\.)", re.IGNORECASE)


def prose(text: str, limit: int = INLINE_CHARS) -> str:
    """`text` on one line, as prose where it can be, else as `code`."""
    line = one_line(text, limit)
    return line if _HARMLESS.fullmatch(line) and not _NOT_PROSE.match(line) else code(line, limit)


def code(text: str, limit: int = INLINE_CHARS) -> str:
    """`text` on one line as a code span; empty text is said to be empty."""
    line = one_line(text, limit)
    if not line:
        return "(empty)"
    fence = "`" * (_longest_run(line) + 1)
    pad = " " if line[0] == "`" or line[-1] == "`" else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def fenced(text: str, language: str = "text") -> str:
    """`text` as a code block of its own, with its lines; ends with a line end."""
    body = plain(text).rstrip("\n")
    fence = "`" * max(3, _longest_run(body) + 1)
    return f"{fence}{language}\n{body}\n{fence}\n"


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)
