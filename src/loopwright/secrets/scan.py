"""Finds values in what is about to leave, however it was dressed up.

Everything is compared with letter case and punctuation taken away, in the text and in what it decodes to (percent, JSON, base64, hex,
gzip, one inside the other). A refusal too many costs a call, a leak is forever; so this is broader than redaction, which must not eat
innocent text.
"""

import base64
import binascii
import re
import urllib.parse
import zlib
from collections.abc import Iterator, Mapping
from typing import Final

from loopwright.journal.disguises import forms

__all__ = ["OVERLAP_BYTES", "EgressScan", "StreamScan"]

OVERLAP_BYTES: Final = 8 << 10
"""How much of what already passed is looked at again with the next piece of a stream."""

_PIECE_CHARS: Final = 12
_LEAST_CHARS: Final = 8
_MAX_DEPTH: Final = 3
_MAX_DECODED_BYTES: Final = 4 << 20

_FOLD: Final = bytes(range(256)).lower()
_DROPPED: Final = bytes(b for b in range(256) if not chr(b).isascii() or not chr(b).isalnum())
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/_-](?:[A-Za-z0-9+/_-]|\s(?=[A-Za-z0-9+/_-])){14,}")
_HEX: Final = re.compile(rb"[0-9A-Fa-f]{2}(?:[\s:,-]{0,2}(?:0x|\\x)?[0-9A-Fa-f]{2}){7,}")
_JSON_ESCAPE: Final = re.compile(rb"\\u00([0-9A-Fa-f]{2})|\\([\"\\/])")


class EgressScan:
    """`values` maps a name to a value; `pieces`: a part of at least 23 characters of a long random value counts as well."""

    def __init__(self, values: Mapping[str, str], *, pieces: bool) -> None:
        self._folded: dict[bytes, str] = {}
        self._exact: dict[bytes, str] = {}
        for name, value in values.items():
            for spelling in (value, value.upper(), value.lower()):
                for form in forms(spelling):
                    self._add(name, _fold(form.encode("utf-8", "surrogateescape")), form)
            if pieces:
                self._add_pieces(name, _fold(value.encode("utf-8", "surrogateescape")))

    def _add(self, name: str, folded: bytes, form: str) -> None:
        if len(folded) >= _LEAST_CHARS:
            self._folded.setdefault(folded, name)
        else:
            # Mostly punctuation, of which folding leaves too little.
            self._exact.setdefault(form.encode("utf-8", "surrogateescape"), name)

    def _add_pieces(self, name: str, folded: bytes) -> None:
        for whole in (folded, folded[::-1]):
            for at in range(0, len(whole) - _PIECE_CHARS + 1, _PIECE_CHARS):
                self._folded.setdefault(whole[at : at + _PIECE_CHARS], name)

    def find(self, data: bytes) -> str | None:
        """The name of a value that `data` holds."""
        if not self._folded and not self._exact:
            return None
        return next((name for text in _readings(data) if (name := self._find_in(text)) is not None), None)

    def _find_in(self, data: bytes) -> str | None:
        folded = _fold(data)
        found = next((name for needle, name in self._folded.items() if needle in folded), None)
        return found or next((name for needle, name in self._exact.items() if needle in data), None)


class StreamScan:
    """Looks at a stream piece by piece, together with the end of what went before."""

    def __init__(self, scan: EgressScan) -> None:
        self._scan = scan
        self._tail = b""

    def feed(self, data: bytes) -> str | None:
        seen = self._tail + data
        self._tail = seen[-OVERLAP_BYTES:]
        return self._scan.find(seen)


def _fold(data: bytes) -> bytes:
    return data.translate(_FOLD, _DROPPED)


def _readings(data: bytes) -> Iterator[bytes]:
    """`data` and what is encoded in it, each once, as long as it is not too much."""
    todo = [(data, 0)]
    seen: set[bytes] = set()
    left = max(_MAX_DECODED_BYTES, 4 * len(data))
    while todo:
        text, depth = todo.pop(0)
        if text in seen:
            continue
        seen.add(text)
        yield text
        left -= len(text)
        if depth < _MAX_DEPTH and left > 0:
            todo += [(inner, depth + 1) for inner in _decoded(text)]


def _decoded(text: bytes) -> Iterator[bytes]:
    if b"%" in text or b"+" in text:
        yield urllib.parse.unquote_to_bytes(text.replace(b"+", b" "))
    if b"\\" in text:
        yield _JSON_ESCAPE.sub(lambda m: bytes.fromhex(m[1].decode()) if m[1] else m[2], text)
    runs = [b"".join(run[0].split()) for run in _BASE64.finditer(text)]
    if runs:
        # Nobody says where a run begins: all four places in a group of four are tried.
        for skip in range(4):
            yield b"\n".join(_from_base64(run[skip:]) for run in runs)
    pairs = [re.sub(rb"0x|\\x|[^0-9A-Fa-f]", b"", run[0]) for run in _HEX.finditer(text)]
    if pairs:
        yield b"\n".join(bytes.fromhex(run[: len(run) & -2].decode()) for run in pairs)
        yield b"\n".join(bytes.fromhex(run[1 : (len(run) - 1 & -2) + 1].decode()) for run in pairs)
    if text[:2] == b"\x1f\x8b" or text[:1] == b"\x78":
        inflated = _inflated(text)
        if inflated:
            yield inflated


def _from_base64(run: bytes) -> bytes:
    run = run.translate(bytes.maketrans(b"-_", b"+/"))
    try:
        return base64.b64decode(run[: len(run) & -4] if len(run) % 4 == 1 else run + b"=" * (-len(run) % 4))
    except binascii.Error:
        return b""


def _inflated(data: bytes) -> bytes:
    try:
        return zlib.decompressobj(wbits=47).decompress(data, 1 << 20)
    except zlib.error:
        return b""
