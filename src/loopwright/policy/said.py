"""The user's own words, and whether a value stands in them. Only what the user wrote counts: whole words, as written.

The value that is looked for is taken exactly as it is: one look-alike letter or hidden character and the user did not write it.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

from loopwright.policy.identifiers import identifiers, keyed
from loopwright.policy.values import Task

__all__ = ["Said", "amounts", "days", "said"]

_STOP_WORDS: Final = """a an and any are as at be but by can do each every for from get has have her his how if in into is it its just
let me more my new no not of off on one or our out please same see send she so some than that the their them then there these they this
to too up use via was we what when where which who will with you your all also about after before tell ask make give read mail email
message"""
_STOP: Final = frozenset(_STOP_WORDS.split())
_EDGE_BEFORE: Final = r"(?<![\w@+%/\\])(?<![\w][.-])"
_EDGE_AFTER: Final = r"(?![\w@%\\=&])(?![/?#][\w?&=#%])(?![.:+-]\w)"
_NUMBER: Final = re.compile(
    r"(?<![\w.,:/-])([$€£¥]|[A-Z]{3}\s?)?(\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)(?!\w*[:/]\d)(?:\s?([$€£¥%]|[A-Za-z]+))?"
)
_SUM: Final = r"(\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)"
_EITHER: Final = re.compile(rf"(?<![\w.,:/-]){_SUM}\s?(?:or|and|to|-|–)\s?{_SUM}(?![\d:/])")
_DATE: Final = re.compile(r"\b(?:19|20)\d\d-\d\d-\d\d\b|\b\d{1,2}[./]\d{1,2}[./]\d{2,4}\b|\b\d{1,2}:\d\d\b")
_CURRENCY_WORDS: Final = "$ € £ ¥ usd eur gbp chf jpy cad aud sek nok dkk pln"
_CURRENCY_NAMES: Final = "dollar dollars euro euros pound pounds bucks franc francs cent cents"
_CURRENCIES: Final = frozenset([*_CURRENCY_WORDS.split(), *_CURRENCY_NAMES.split()])
_MONTHS: Final = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_IBAN_LIKE: Final = re.compile(r"[A-Za-z0-9]{8,}")


@dataclass(frozen=True, slots=True)
class Said:
    """The task's text and the user's own values, prepared for looking things up."""

    text: str
    folded: str
    own: frozenset[str]
    keys: frozenset[str]
    sums: frozenset[float]
    days: frozenset[tuple[int, int]]
    """Month and day of every date that the text has."""

    def names(self, value: str) -> bool:
        """Whether the user wrote `value` as whole words, or it is the user's own. Letter case, a URL's scheme and spaces inside an
        account number do not matter; a function word such as `all` names nothing."""
        bare = value.strip()
        if len(bare) < 2 or bare.casefold() in _STOP:
            return False
        if bare.casefold() in self.own:
            return True
        if _whole(bare.casefold(), self.folded):
            return True
        url = re.sub(r"^https?://(?:www\.)?|^www\.", "", bare.casefold()).rstrip("/")
        if url != bare.casefold() and "." in url and keyed("url", bare) in self.keys:
            return True
        # An account number that the user wrote in groups.
        return bool(_IBAN_LIKE.fullmatch(bare)) and sum(c.isdigit() for c in bare) >= 6 and bare.upper() in self.keys

    def names_item(self, identity: str) -> bool:
        """Whether the user named the thing whose identity this is. A bare number must follow a word that says so (`id 7`, `no. 7`,
        `#7`): the 100 of an amount does not name the mail with the number 100."""
        bare = identity.strip()
        if re.fullmatch(r"\d+", bare):
            marked = rf"(?:#|\b(?:id|ids|no\.?|nr\.?|number)\s*:?\s*#?){re.escape(bare)}(?!\w)"
            return re.search(marked, self.folded) is not None
        return len(bare) >= 3 and (self.names(bare) or self._words_in_order(bare))

    def _words_in_order(self, name: str) -> bool:
        """A name of several words with small words between them: "the packing list for Lisbon" names `Packing list Lisbon`."""
        words = re.findall(r"[^\W_]+", name.casefold())
        if len(words) < 2 or not all(word in self.folded for word in words):
            return False
        between = r"[^\w]+(?:(?:a|an|the|of|for|to|in|on|with|my|our|from|and)[^\w]+){0,2}"
        return (
            re.search(r"(?<!\w)" + between.join(re.escape(word) for word in words) + r"(?!\w)", self.folded) is not None
        )

    def names_person(self, entry: str) -> Literal["whole", "part", "no"]:
        """`whole` when the user wrote the entry's whole name, `part` when one word of it with its capital, else `no`."""
        if self.names(entry):
            return "whole"
        words = [w for w in re.findall(r"[^\W\d_]{3,}", entry) if w[0].isupper() and w.casefold() not in _STOP]
        return "part" if any(_whole(word, self.text) for word in words) else "no"


@lru_cache(maxsize=256)
def said(task: Task) -> Said:
    """The words of `task`, prepared once."""
    own = frozenset(value.strip().casefold() for value in task.own)
    keys = {found.key for found in identifiers(task.text)}
    for value in task.own:
        keys |= {found.key for found in identifiers(value)} | {value, value.casefold()}
    keys |= set(re.findall(r"[\w@.+/:%-]{6,}", task.text))
    return Said(task.text, task.text.casefold(), own, frozenset(keys), amounts(task.text), days(task.text))


@lru_cache(maxsize=1024)
def days(text: str) -> frozenset[tuple[int, int]]:
    """The dates in `text` as month and day. A date with both numbers up to twelve may be read either way and counts as both."""
    found: set[tuple[int, int]] = set()
    for _, month, day in re.findall(r"(?<!\d)((?:19|20)\d\d)-(\d{1,2})-(\d{1,2})(?!\d)", text):
        found.add((int(month), int(day)))
    for one, other in re.findall(r"(?<![\d.])(\d{1,2})[./](\d{1,2})[./](?:\d{2,4})?(?!\d)", text):
        found |= {(int(one), int(other)), (int(other), int(one))}
    for day, name in re.findall(rf"(?<!\d)(\d{{1,2}})(?:st|nd|rd|th|\.)?\s+(?:of\s+)?({_MONTHS})[a-z]*\b", text, re.I):
        found.add((_MONTHS.split("|").index(name.casefold()) + 1, int(day)))
    for name, day in re.findall(rf"\b({_MONTHS})[a-z]*\.?\s+(?:the\s+)?(\d{{1,2}})(?!\d)", text, re.I):
        found.add((_MONTHS.split("|").index(name.casefold()) + 1, int(day)))
    return frozenset((month, day) for month, day in found if 1 <= month <= 12 and 1 <= day <= 31)


@lru_cache(maxsize=256)
def amounts(text: str) -> frozenset[float]:
    """The sums that a text speaks of. When any of its numbers carries a currency, only those count: a year or a house number next to
    a price is no price. Parts of dates and times never count."""
    plain: set[float] = set()
    marked: set[float] = set()
    for match in _NUMBER.finditer(_DATE.sub(" ", text)):
        before, digits, after = match.group(1), match.group(2), match.group(3)
        value = float(digits.replace(",", ""))
        signs = {(before or "").strip().casefold(), (after or "").casefold()}
        (marked if signs & _CURRENCIES else plain).add(value)
    # "75 or 80 euros": the currency stands once and means both.
    for pair in _EITHER.finditer(text):
        if float(pair.group(2).replace(",", "")) in marked:
            marked.add(float(pair.group(1).replace(",", "")))
    return frozenset(marked or plain)


def _whole(value: str, text: str) -> bool:
    if value not in text:
        return False
    return re.search(_EDGE_BEFORE + re.escape(value) + _EDGE_AFTER, text) is not None
