"""Text of strangers made safe to show: nothing in it can move the cursor, turn the reading order, hide, or pass for our own words.

The result is one line in which every character shows, and nothing is changed silently: what could not be shown stands there as an
escape, what was left out as its length and hash. Pure.
"""

import hashlib
import re
import unicodedata
from typing import Final

__all__ = ["escaped", "flags", "folded", "lines", "shown"]

FOLD_CHARS: Final = 400
"""A value longer than this is shown by its two ends."""

RUN_CHARS: Final = 24
"""A run of one character longer than this is padding: it pushes what matters off the screen."""

_NAMED: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\"}
_OURS: Final = "⟪⟫"
"""The marks of what we left out: in a stranger's text they are escaped."""
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_BLANK_LETTERS: Final = frozenset("\u115f\u1160\u3164\uffa0\u2800\u034f\u17b4\u17b5\u180b\u180c\u180d\u180e\u180f")
"""Drawn as nothing although Unicode calls them letters, symbols or marks."""
_MARKS_IN_A_ROW: Final = 2
_RUNS: Final = re.compile(rf"(.)\1{{{RUN_CHARS},}}", re.S)


def shown(text: str, *, limit_chars: int = FOLD_CHARS) -> str:
    """`text` as one safe line: padding and an over-long middle folded, everything that does not show escaped."""
    return _folded_runs(folded(text, limit_chars=limit_chars))


def escaped(text: str) -> str:
    """`text` with every character that does not show, and the backslash, as an escape: so no escape can be forged."""
    out: list[str] = []
    marks = 0
    for character in text:
        kind = unicodedata.category(character)
        marks = marks + 1 if kind in ("Mn", "Me", "Mc") else 0
        if character in _NAMED:
            out.append(_NAMED[character])
        elif kind in _INVISIBLE or _misleads(character, kind) or marks > _MARKS_IN_A_ROW:
            out.append(_escape(character))
        else:
            out.append(character)
    return "".join(out)


def folded(text: str, *, limit_chars: int = FOLD_CHARS) -> str:
    """`text` escaped; of a longer one than `limit_chars` both ends, and between them the length and hash of the whole."""
    if len(text) <= limit_chars:
        return escaped(text)
    half = limit_chars // 2
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    middle = f" ⟪… {len(text) - 2 * half} of {len(text)} characters not shown, sha256 {digest[:16]} …⟫ "
    return escaped(text[:half]) + middle + escaped(text[-half:])


def lines(text: str, *, most: int, limit_chars: int = FOLD_CHARS) -> list[str]:
    """`text` of several lines, each safe; after `most` the number of those left out, from the middle: both ends are shown."""
    found = [shown(line, limit_chars=limit_chars) for line in text.split("\n")]
    if len(found) <= most:
        return found
    half = most // 2
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return [
        *found[:half],
        f"⟪… {len(found) - 2 * half} of {len(found)} lines not shown, sha256 {digest[:16]} …⟫",
        *found[-half:],
    ]


def flags(text: str) -> tuple[str, ...]:
    """What a person should know of `text` before trusting their eyes; empty for ordinary text."""
    found: list[str] = []
    if any(_is_bidi(character) for character in text):
        found.append("turns the reading order (bidirectional control characters)")
    hidden = sum(
        1 for c in text if c not in "\n\r\t" and (unicodedata.category(c) in _INVISIBLE or c in _BLANK_LETTERS)
    )
    if hidden:
        found.append(f"holds {hidden} characters that do not show")
    if any(len(match[0]) > RUN_CHARS for match in _RUNS.finditer(text)):
        found.append("is padded with a long run of one character")
    mixed = [word for word in _words(text) if len(_scripts(word)) > 1]
    if mixed:
        scripts = ", ".join(sorted({script.title() for word in mixed for script in _scripts(word)}))
        found.append(f"mixes alphabets inside a word ({scripts}): {escaped(mixed[0])[:60]!a}")
    foreign = [word for word in _words(text) if not word.isascii()]
    # One plainly Cyrillic or Greek word and the text is what it seems: many of their short words have only such letters.
    if not mixed and foreign and all(_looks_latin(word) for word in foreign):
        found.append(f"holds a word that looks Latin and is not: {escaped(foreign[0])[:60]!a}")
    if unicodedata.normalize("NFKC", text) != unicodedata.normalize("NFC", text):
        found.append("holds letters in a compatibility form (fullwidth, ligature, styled)")
    return tuple(found)


_LOOKALIKES: Final = frozenset("асеіјорѕухһԁԛԝӏԍАВЕЅІЈКМНОРСТХУҮαορτυνικΑΒΕΖΗΙΚΜΝΟΡΤΥΧ")


def _looks_latin(word: str) -> bool:
    return all(c in _LOOKALIKES for c in word)


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", text[:20_000])


def _scripts(word: str) -> frozenset[str]:
    """The alphabets of a word, as the first word of each letter's Unicode name; Japanese and Chinese are one writing."""
    found = {
        unicodedata.name(c, "UNKNOWN").split(" ")[0].split("-")[0] for c in word if unicodedata.category(c)[0] == "L"
    }
    found -= {"MODIFIER", "FEMININE", "MASCULINE", "MICRO"}
    if found & {"HIRAGANA", "KATAKANA", "CJK", "HANGUL", "BOPOMOFO"}:
        found -= {"HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO"}
        found.add("CJK")
    return frozenset(found)


def _is_bidi(character: str) -> bool:
    return character in "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def _misleads(character: str, kind: str) -> bool:
    if character in _OURS or character in _BLANK_LETTERS or (kind == "Zs" and character != " "):
        return True
    # Variation selectors carry hidden bytes after any letter.
    return "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef"


def _escape(character: str) -> str:
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _folded_runs(text: str) -> str:
    def fold(match: re.Match[str]) -> str:
        return f"{match[1] * 3}⟪… {len(match[0])} times {match[1]!r} …⟫"

    return _RUNS.sub(fold, text)
