"""What in a text could name a place, a person, an account or a secret: that is how data leaves and how a reader is led elsewhere.

The finder looks through the usual disguises first (full-width digits, characters that do not show, percent-encoding, letters spaced
out, `[at]` and `(dot)`). It errs on the side of finding: what it finds is only asked about, and only when the user did not write it.
Prose has no identifiers; prose leaked to a party that the user named passes, and the documentation says so.
"""

import itertools
import re
import unicodedata
from functools import lru_cache
from typing import Final, Literal
from urllib.parse import unquote

from loopwright.kernel.values import Value

__all__ = ["Identifier", "identifiers", "revealed"]

Kind = Literal["url", "mail", "iban", "digits", "code"]


class Identifier(Value, frozen=True):
    """`key` is how it is compared: without case, spaces or scheme. `text` is what a person is shown."""

    kind: Kind
    key: str
    text: str


# Every repetition here is bounded or cannot overlap its neighbour: the text is an attacker's, and must not cost more than a linear scan.
_MAIL: Final = re.compile(r"[\w.+'%-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){0,8}", re.UNICODE)
_SCHEMED: Final = re.compile(r"\b(?:[a-z][a-z0-9+.-]{1,15}://|mailto:|javascript:|data:|tel:)[^\s<>\"'`\])}|]+", re.I)
_TLDS: Final = (
    "com|net|org|edu|gov|mil|int|info|biz|io|ai|app|dev|co|me|tv|xyz|top|site|online|shop|store|club|link|live|click|cloud|tech|page"
    "|space|website|world|fun|pro|name|mobi|onion|local|internal|example|test|invalid|eu|uk|de|fr|nl|it|es|ch|at|be|pt|se|no|fi|dk|cz|ru"
    "|cn|jp|in|us|ca|au|br|ir|kr|tk|ml|ga|cf|gq|to|ly|gd|cc|ws|su|nu|la|gg"
)
_BARE: Final = re.compile(
    rf"(?<![\w@.-])(?:www\.[\w-]+(?:\.[\w-]+)*|(?:[\w-]+\.)+(?:{_TLDS})(?![\w-])|(?:[\w-]+\.)+[a-z]{{2,}}(?=[/:?#]\S))"
    r"(?::\d+)?(?:[/?#][^\s<>\"'`\])}|]*)?",
    re.I,
)
_HOST: Final = re.compile(
    r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?(?:/[^\s<>\"'`\])}|]*)?|\[[0-9a-f:]{3,}\]\S*|\blocalhost[:/]\S*", re.I
)
_IBAN: Final = re.compile(
    r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]{4}){2,7}(?:[ -]?[A-Z0-9]{1,3})?(?![A-Za-z0-9])", re.I
)
_DIGITS: Final = re.compile(r"(?<!\d)\+?\d(?:[ \t.\-/()_]{0,2}\d){5,}")
_TOKEN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_\-+/=:.]{4,}[A-Za-z0-9=]|[A-Za-z0-9]{6,}")
_MONTH: Final = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|sept|oct|nov|dec)[a-z]*\.?"
_DATES: Final = re.compile(
    r"(?<![\d])(?:(?:19|20)\d\d[-/.](?:0?[1-9]|1[0-2])[-/.](?:0?[1-9]|[12]\d|3[01])"
    r"|(?:0?[1-9]|[12]\d|3[01])[-/.](?:0?[1-9]|[12]\d|3[01])[-/.](?:19|20)\d\d"
    rf"|{_MONTH}\s+\d{{1,2}}(?:st|nd|rd|th)?(?:,?\s+(?:19|20)\d\d)?|\d{{1,2}}(?:st|nd|rd|th)?\s+{_MONTH}(?:,?\s+(?:19|20)\d\d)?)"
    r"(?:[T ,]+(?:at )?[0-2]?\d:[0-5]\d(?::[0-5]\d)?(?:\.\d{1,3})?(?:Z|[+-][01]\d:?\d\d)?)?(?!\d)",
    re.I,
)
_TIMES: Final = re.compile(
    r"(?<![\d:])[0-2]?\d:[0-5]\d(?::[0-5]\d)?(?:\s*[ap]m)?(?:\s*[-–]\s*[0-2]?\d:[0-5]\d(?:\s*[ap]m)?)?(?![\d:])", re.I
)
_MONEY: Final = re.compile(
    r"(?<![\w.])(?:[$€£¥]\s?)?\d{1,3}(?:,\d{3})+(?:\.\d{1,2})?(?![\d.])|(?<![\w.])\d{1,7}\.\d{2}(?![\d.])"
)
_SPACED: Final = re.compile(r"(?<![^\W_])[^\W_](?![^\W_])(?:(?:[^\w\n]|_){1,5}+[^\W_](?![^\W_])){5,}+")
_AT: Final = re.compile(
    r"\s{0,3}[\[({<]\s{0,3}at\s{0,3}[\])}>]\s{0,3}|\s{1,3}at\s{1,3}(?=[\w-]{1,63}\s{0,3}(?:[\[({<]\s{0,3}dot|\s{1,3}dot\s{1,3}))",
    re.I,
)
_DOT: Final = re.compile(r"\s{0,3}[\[({<]\s{0,3}(?:dot|\.)\s{0,3}[\])}>]\s{0,3}|(?<=\w)\s{1,3}dot\s{1,3}(?=\w)", re.I)
_DEFANGED: Final = re.compile(r"\bh(?:xx|\*\*|\+\+)p(s?)(?=://|\[:\]//)", re.I)
_VOWELS: Final = frozenset("aeiouyAEIOUY")


def revealed(text: str) -> str:
    """`text` without disguise: compatibility forms folded, what does not show removed, percent-encoding and `[at]`, `(dot)` undone."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
        text = "".join(
            _digit(c) for c in text if unicodedata.category(c) not in ("Cf", "Cc", "Mn", "Co", "Cn") or c in "\n\t\r"
        )
    for _ in range(3):
        plain = unquote(text, errors="replace") if "%" in text else text
        if plain == text:
            break
        text = plain
    text = _DEFANGED.sub(r"http\1", text).replace("[:]", ":")
    return _DOT.sub(".", _AT.sub("@", text))


@lru_cache(maxsize=4096)
def identifiers(text: str) -> tuple[Identifier, ...]:
    """Every identifier in `text`, also those that are disguised, each once."""
    if not text or len(text) < 4:
        return ()
    plain = revealed(text)
    found: dict[str, Identifier] = {}
    _scan(plain, found)
    # Letters and digits with something between each of them: closed up they are what a reader is meant to read.
    for run in _SPACED.finditer(plain):
        for between in (r"[^\w@.:/+-]", r"[\W_]"):
            _scan(re.sub(between, "", run.group()), found)
    return tuple(found.values())


def _scan(text: str, found: dict[str, Identifier]) -> None:
    rest = text
    for kind, pattern in (("url", _SCHEMED), ("mail", _MAIL), ("url", _BARE), ("url", _HOST)):
        rest = _take(rest, kind, pattern, found)
    rest = _TIMES.sub(" ", _DATES.sub(" ", rest))
    rest = _take(rest, "iban", _IBAN, found)
    rest = _MONEY.sub(" ", rest)
    rest = _take(rest, "digits", _DIGITS, found)
    for match in _TOKEN.finditer(rest):
        for part in re.split(r"[/:=.]", match.group()):
            if _codelike(part):
                _add("code", part, found)


def _take(text: str, kind: str, pattern: re.Pattern[str], found: dict[str, Identifier]) -> str:
    """Adds the matches and returns the text without them, so that a part of an address is not found a second time as a code."""

    def note(match: re.Match[str]) -> str:
        value = match.group()
        if kind == "iban" and sum(c.isdigit() for c in value) < 6:
            return value
        if kind == "digits" and sum(c.isdigit() for c in value) < 6:
            return value
        _add(kind, value, found)
        return " "

    return pattern.sub(note, text)


def _add(kind: str, value: str, found: dict[str, Identifier]) -> None:
    text = value.strip().rstrip(".,;:!?'\"-")
    key = keyed(kind, text)
    if key:
        found.setdefault(key, Identifier(kind, key, text))  # type: ignore[arg-type]  # the kinds stand in this file


def keyed(kind: str, text: str) -> str:
    """How identifiers of one kind are compared. A secret's letter case matters; a host's and a mailbox's do not."""
    if kind == "url":
        bare = re.sub(r"^(?:https?://)?(?:www\.)?", "", text, flags=re.I)
        host, slash, path = bare.partition("/")
        return (host.casefold() + slash + path).rstrip("/")
    if kind == "mail":
        return text.casefold()
    if kind == "digits":
        return re.sub(r"\D", "", text)
    if kind == "iban":
        return re.sub(r"[ -]", "", text).upper()
    return text


def _codelike(token: str) -> bool:
    """Whether a token looks made rather than written: letters mixed with digits, or a long or vowel-less run."""
    bare = token.strip("-_+")
    if len(bare) < 6:
        return False
    digits = sum(c.isdigit() for c in bare)
    letters = sum(c.isalpha() for c in bare)
    if (
        digits >= 2
        and letters >= 1
        and not re.fullmatch(r"\d{1,4}(?:st|nd|rd|th|[ap]m|[a-z]{1,3})?(?:-[a-z]+)*", bare, re.I)
    ):
        return True
    words = [w for w in re.split(r"[-_+]", bare) if w]
    if any(len(w) >= 25 for w in words):
        return True
    solid = max(words, key=len, default="")
    if len(solid) >= 6 and solid.isupper() and sum(c in _VOWELS for c in solid) * 5 <= len(solid):
        return True
    flips = sum(a.islower() and b.isupper() for a, b in itertools.pairwise(solid))
    return len(solid) >= 10 and flips >= 3


def _digit(character: str) -> str:
    """Any script's digit as an ASCII one; every other character unchanged."""
    return str(unicodedata.decimal(character)) if not character.isascii() and character.isdecimal() else character
