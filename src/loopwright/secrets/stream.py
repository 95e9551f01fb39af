"""Redaction of output that comes in pieces: a value that lies across a border is found all the same."""

import codecs
from collections.abc import Callable

from loopwright.journal.disguises import Disguises

__all__ = ["StreamRedactor"]

_SPACE = frozenset(" \t\r\n\f")
_MOST_HELD_CHARS = 1 << 20


class StreamRedactor:
    """Gives back what certainly belongs to no value, as soon as that is certain. `known` is asked anew for every piece.

    Known values only, split by white space or not; shapes of tokens are the journal's redactor's, which sees the whole.
    """

    def __init__(self, known: Callable[[], Disguises]) -> None:
        self._known = known
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._held = ""

    def feed(self, data: bytes) -> bytes:
        """What of everything so far can be shown now."""
        self._held += self._decoder.decode(data)
        return self._release(self._certain())

    def finish(self) -> bytes:
        """The rest."""
        self._held += self._decoder.decode(b"", True)
        return self._release(len(self._held))

    def _certain(self) -> int:
        """How much of what is held no value can begin in and go on after: all but the last characters, one less than the longest."""
        at, left = len(self._held), self._known().longest - 1
        floor = max(0, at - _MOST_HELD_CHARS)
        while at > floor and left > 0:
            at -= 1
            left -= self._held[at] not in _SPACE
        return at

    def _release(self, end: int) -> bytes:
        spans = self._known().spans(self._held)
        shown: list[str] = []
        at = 0
        for start, stop, name in spans:
            if start >= end:
                break
            if stop > end and len(self._held) <= 2 * _MOST_HELD_CHARS:
                # Another form may begin inside this one and go on after it: they are shown as one, later.
                end = start
                break
            shown += (self._held[at:start], f"[redacted:{name}]")
            at = stop
        end = max(at, end)
        shown.append(self._held[at:end])
        self._held = self._held[end:]
        return "".join(shown).encode("utf-8", "surrogateescape")
