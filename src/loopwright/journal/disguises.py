"""Known secret values in the disguises in which they travel, found in text fast.

The invariant: what `spans` finds in a text, `may_hold` sees in the UTF-8 of that text and in its JSON too. `may_hold` costs about
as much as reading the bytes once, however many values are known.
"""

import base64
import html
import json
import re
import sys
import urllib.parse
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

__all__ = ["MIN_SECRET_CHARS", "Disguises", "forms"]

MIN_SECRET_CHARS: Final = 8
"""A shorter value would be found in innocent text."""

_SPACE: Final = re.compile(r"[ \t\r\n\f]+")
_SPACE_IN_BYTES: Final = rb"(?:[ \t\r\n\f]|\\[nrtf])*"
# In JSON a line break is a backslash and a letter, so the bytes of both go, out of the needle as well: what is left of a needle lies
# in what is left of the data wherever the needle does, split or not. (Too much is found then, never too little.)
_SQUEEZED: Final = b" \t\r\n\f\\nrtf"
_LEAST_SQUEEZED_BYTES: Final = 8


def forms(value: str) -> Iterator[str]:
    """`value` and its disguises: JSON, HTML, percent, hex, reversed, and base64 wherever it lies in a longer text. With repetitions."""
    raw = value.encode("utf-8", "surrogateescape")
    yield value
    yield value[::-1]
    for ascii_only in (True, False):
        escaped = json.dumps(value, ensure_ascii=ascii_only)[1:-1]
        yield escaped
        yield escaped.replace("/", "\\/")
    yield html.escape(value)
    for quoted in (urllib.parse.quote(raw, safe=""), urllib.parse.quote_plus(raw), "".join(f"%{b:02X}" for b in raw)):
        yield quoted
        yield re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), quoted)
    yield raw.hex()
    yield raw.hex().upper()
    for skip in range(3):
        # Base64 packs three bytes into four characters. With `skip` bytes before it the value starts in the middle of such a group:
        # only the characters that depend on nothing but the value can be looked for.
        text = base64.b64encode(b"\0" * skip + raw).decode().rstrip("=")
        start = (0, 2, 3)[skip]
        whole = text[start:] if (skip + len(raw)) % 3 == 0 else text[start:-1]
        yield whole
        yield whole.translate(str.maketrans("+/", "-_"))


class Disguises:
    """`names` gives what stands for each value in a text that was cleaned. Values of less than 8 characters are ignored."""

    def __init__(self, names: Mapping[str, str]) -> None:
        known = {form: name for value, name in names.items() if len(value) >= MIN_SECRET_CHARS for form in forms(value)}
        # The longest first: a JSON-escaped form must not be left half because a shorter form matched inside it.
        self._names = dict(sorted(known.items(), key=lambda item: -len(item[0])))
        self._regex = re.compile("|".join(map(re.escape, self._names))) if self._names else None
        split = {_SPACE.sub("", form): name for form, name in self._names.items()}
        self._split_names = {form: name for form, name in split.items() if len(form) >= MIN_SECRET_CHARS}
        self._split_regex = re.compile("|".join(map(re.escape, self._split_names))) if self._split_names else None
        self.longest = max(map(len, self._split_names), default=0)
        """Characters of the longest form, white space not counted; 0 = no value is known."""
        encoded = [n for form in self._names for n in _in_bytes(form)]
        self._may_hold_whole = _form_filter(encoded)
        squeezed = {n: n.translate(None, _SQUEEZED) for form in self._split_names for n in _in_bytes(form)}
        self._may_hold_squeezed = _form_filter([n for n in squeezed.values() if len(n) >= _LEAST_SQUEEZED_BYTES])
        # Values of hardly more than the letters n, r, t and f.
        rare = [needle for needle, rest in squeezed.items() if len(rest) < _LEAST_SQUEEZED_BYTES]
        self._rare = re.compile(b"|".join(map(_with_space, rare))).search if rare else None

    def may_hold(self, data: bytes) -> bool:
        """Whether `data`, JSON or plain UTF-8, may hold a value. Never false for one in which `spans` finds something."""
        if not self._names:
            return False
        return (
            self._may_hold_whole(data)
            or self._may_hold_squeezed(data.translate(None, _SQUEEZED))
            or (self._rare is not None and self._rare(data) is not None)
        )

    def spans(self, text: str) -> list[tuple[int, int, str]]:
        """Where in `text` a value stands, as (start, end, name), in order and without overlap; split by white space or not."""
        if self._regex is None:
            return []
        found = [(m.start(), m.end(), self._names[m[0]]) for m in self._regex.finditer(text)]
        return _merged([*found, *self._split_spans(text)])

    def clean(self, text: str) -> str:
        """`text` with `[redacted:<name>]` in the place of every value."""
        spans = self.spans(text)
        if not spans:
            return text
        parts: list[str] = []
        at = 0
        for start, end, name in spans:
            parts += (text[at:start], f"[redacted:{name}]")
            at = end
        return "".join((*parts, text[at:]))

    def _split_spans(self, text: str) -> list[tuple[int, int, str]]:
        if self._split_regex is None:
            return []
        gaps = [(m.start(), m.end()) for m in _SPACE.finditer(text)]
        squeezed = _SPACE.sub("", text) if gaps else text
        matches = list(self._split_regex.finditer(squeezed))
        if not matches:
            return []
        # `starts[i]` is where, in the squeezed text, the i-th gap was; `lost[i]` how much is missing from there on.
        starts: list[int] = []
        lost: list[int] = []
        total = 0
        for start, end in gaps:
            starts.append(start - total)
            total += end - start
            lost.append(total)

        def original(at: int) -> int:
            i = bisect_right(starts, at)
            return at + (lost[i - 1] if i else 0)

        return [(original(m.start()), original(m.end() - 1) + 1, self._split_names[m[0]]) for m in matches]


def _merged(spans: list[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """In order; those that overlap become one, named after the longest."""
    merged: list[tuple[int, int, str]] = []
    for start, end, name in sorted(spans, key=lambda span: (span[0], -span[1])):
        if merged and start < merged[-1][1]:
            first = merged[-1]
            merged[-1] = (first[0], max(first[1], end), first[2])
        else:
            merged.append((start, end, name))
    return merged


def _in_bytes(form: str) -> tuple[bytes, ...]:
    """`form` as it stands in UTF-8 text and in JSON."""
    plain = form.encode("utf-8", "surrogateescape")
    escaped = json.dumps(form, ensure_ascii=False)[1:-1].encode("utf-8", "surrogateescape")
    return (plain,) if plain == escaped else (plain, escaped)


def _with_space(needle: bytes) -> bytes:
    return _SPACE_IN_BYTES.join(re.escape(needle[i : i + 1]) for i in range(len(needle)))


def _form_filter(needles: Sequence[bytes]) -> Callable[[bytes], bool]:
    """A test for "holds one of `needles`" whose cost does not grow with their number; each has at least 7 bytes.

    A needle of at least 15 bytes, wherever it lies, covers a block of 8 bytes that starts at a multiple of 8 of the data, and one
    that starts among the needle's first 8 bytes. So only such blocks are looked up; with longer needles every second or fourth
    is enough. The shorter needles do the same with blocks of 4. What passes is then searched for exactly.
    """
    needles = list(dict.fromkeys(needles))
    long = [n for n in needles if len(n) >= 15]
    stride = next((s for s in (32, 16) if long and min(map(len, long)) >= s + 7), 8)
    no_long = _blocks(long, 8, stride).isdisjoint
    no_short = _blocks([n for n in needles if len(n) < 15], 4, 4).isdisjoint
    any_long, any_short = bool(long), len(long) < len(needles)

    def may_hold(data: bytes) -> bool:
        view = memoryview(data)
        if (not any_long or no_long(view[: len(data) & -8].cast("Q")[:: stride // 8])) and (
            not any_short or no_short(view[: len(data) & -4].cast("I"))
        ):
            return False
        return any(needle in data for needle in needles)

    return may_hold


def _blocks(needles: Sequence[bytes], size: int, stride: int) -> frozenset[int]:
    """As `memoryview.cast` reads them: one of these stands at a multiple of `stride` wherever a needle stands."""
    return frozenset(int.from_bytes(n[i : i + size], sys.byteorder) for n in needles for i in range(stride))
