"""Lines that a proposal adds and that speak to whoever reviews it. Pure.

They stay where they are, for a judge must see what would be kept; it is told that they are there and that they are not for it to obey.
An ordinary line may be named here too: it costs a look and decides nothing.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from loopwright.kernel.values import Value
from loopwright.views.text import one_line

__all__ = ["MOST", "AddedLine", "Addressed", "added_lines", "addressed"]

MOST = 50
_SAYS_CHARS = 200
_HUNK = re.compile(r"@@ -\d+(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_OPENING, _CLOSING = " \t#/*;-\"'", " \t*/\"'>-"
_HIDDEN = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff\u00ad\U000e0000-\U000e007f]")
_WHO = r"(reviewers?|judges?|graders?|evaluators?|auditors?|assistant|llm|ai|language model)"
_TALK = tuple(
    re.compile(pattern)
    for pattern in (
        rf"\b{_WHO}\s*[:!]",
        rf"\b(dear|hey|hi|hello|note to|message to|attention)\s*,?\s*(the |all )?(code |ai |llm )?{_WHO}\b",
        r"\blgtm\b",
        r"\b(please|kindly|you (must|should|can|may))\s+(\w+\s+){0,2}(approve|accept|merge)\b",
        r"\b(approve|accept|pass) (this|the) (change|patch|diff|edit|proposal|candidate|commit)\b",
        r"\b(ignore|disregard|forget|override)\b.{0,30}\b(previous|prior|preceding|above|earlier)\b",
        r"\b(ignore|disregard|forget|override)\b.{0,30}\b(instruction|prompt|rule|guideline|objection|finding)s?\b",
        r"\b(already|been)\s+(reviewed|approved|audited|signed off)\b",
        r"\byou are (now )?(a|an|the)\b.{0,30}\b(assistant|model|reviewer|judge|ai)\b",
        r"\bverdict[\"']?\s*(:|=|is)\s*[\"']?(accept|approve|pass)",
        r"<\|?(im_start|im_end|system|assistant|user)\b|\[/?inst\]|^(system|assistant)\s*:",
        r"\bloopwright_(review|result|candidate)\b",
    )
)


@dataclass(frozen=True, slots=True)
class AddedLine:
    """`line` is its number in the new file, from 1; 0 stands for the file's name."""

    path: str
    line: int
    text: str


class Addressed(Value, frozen=True):
    """`says` is the line, made harmless to look at and cut; `line` as in `AddedLine`."""

    path: str
    line: int
    says: str


def addressed(diff: str, paths: Iterable[str] = ()) -> tuple[Addressed, ...]:
    """What of a unified diff's added lines, and of the names of the changed files, speaks to a reviewer; at most `MOST`."""
    found: list[Addressed] = []
    lines = [*(AddedLine(path, 0, path) for path in paths), *added_lines(diff)]
    for at, line in enumerate(lines):
        words = _words(line.text)
        # A sentence that goes over two lines is the same sentence.
        after = lines[at + 1] if at + 1 < len(lines) else None
        split = after is not None and (after.path, after.line) == (line.path, line.line + 1) and line.line > 0
        both = f"{words} {_words(after.text)}" if split and after is not None else words
        told = any(p.search(words) or (split and p.search(both) and not p.search(_tail(both, words))) for p in _TALK)
        if told or _HIDDEN.search(line.text):
            found.append(Addressed(line.path, line.line, one_line(line.text, _SAYS_CHARS)))
            if len(found) == MOST:
                break
    return tuple(found)


def added_lines(diff: str) -> Iterator[AddedLine]:
    """The added lines of a unified diff as git writes it. The counts of a hunk decide what is content, so no added line can look
    like a header."""
    path, number, old_left, new_left = "", 0, 0, 0
    for line in diff.split("\n"):
        if old_left > 0 or new_left > 0:
            mark = line[:1]
            if mark == "+":
                yield AddedLine(path, number, line[1:])
            if mark in {"+", " ", ""}:
                number, new_left = number + 1, new_left - 1
            if mark in {"-", " ", ""}:
                old_left -= 1
        elif line.startswith("+++ "):
            path = _path(line[4:])
        elif hunk := _HUNK.match(line):
            old_left, number, new_left = int(hunk[1] or 1), int(hunk[2]), int(hunk[3] or 1)


def _tail(both: str, words: str) -> str:
    return both[len(words) + 1 :]


def _words(text: str) -> str:
    """Upper and lower case, look-alike forms, and characters that do not show make no difference."""
    plain = unicodedata.normalize("NFKC", _HIDDEN.sub("", text)).casefold()
    # Not by a pattern: a maker could write a line on which it takes hours.
    bare = plain.strip().removeprefix("<!--").lstrip(_OPENING).rstrip(_CLOSING)
    return " ".join(bare.split())


def _path(name: str) -> str:
    name = name.removesuffix("\t")
    if len(name) > 1 and name[0] == name[-1] == '"':
        # git's C-style quoting: octal bytes of UTF-8
        raw = name[1:-1].encode("latin-1", "backslashreplace").decode("unicode_escape")
        name = raw.encode("latin-1", "replace").decode("utf-8", "replace")
    return name.removeprefix("b/")
