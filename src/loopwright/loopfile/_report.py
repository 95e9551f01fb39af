"""The problems of one loop file, collected: an author sees all of them at once, each with its line."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from loopwright.errors import LoopFileError

__all__ = ["Refused", "Report", "nearest", "quoted"]

_SHOWN = 20


class Refused(Exception):
    """A value was refused and its problem is in the report; whoever reads its siblings catches this and goes on."""


@dataclass(frozen=True, slots=True)
class Problem:
    line: int
    text: str


class Report:
    def __init__(self, source: str) -> None:
        self._source = source
        self._problems: list[Problem] = []

    def add(self, line: int, at: str, text: str) -> None:
        """`at` is the key path (`act[0].repair`), empty for the file as a whole; `text` is one line."""
        self._problems.append(Problem(line, f"{at}: {text}" if at else text))

    def refused(self, line: int, at: str, text: str) -> Refused:
        """Adds the problem and returns what to raise."""
        self.add(line, at, text)
        return Refused()

    def raise_any(self) -> None:
        """Raises: `LoopFileError`, one line a problem in the order of the file, when there is any."""
        if not self._problems:
            return
        found = sorted(self._problems, key=lambda problem: problem.line)
        lines = [f"{self._source}:{problem.line}: {problem.text}" for problem in found[:_SHOWN]]
        if len(found) > _SHOWN:
            lines.append(f"{self._source}:{found[_SHOWN].line}: {len(found) - _SHOWN} more from here on")
        raise LoopFileError("\n".join(lines))


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The one of `known` that `word` was probably meant to be."""
    close = get_close_matches(word[:80].lower(), list(known), n=1, cutoff=0.6)
    return close[0] if close else None


def quoted(text: str) -> str:
    """`text` as it may stand in a one-line message."""
    return repr(text if len(text) <= 60 else text[:57] + "…")
