"""Numbers of the loop file: read from their text as decimals, never through a binary float, so that 0.1 dollars are 100000 micros.

Every number here is above 0. A limit of 0 would mean "nothing left", which nobody writes on purpose; a limit that is not
wanted is a key that is not there.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Generic, TypeVar

from loopwright.loopfile._front import Node, Scalar, describe
from loopwright.loopfile._report import Refused, Report, quoted
from loopwright.loopfile._table import Schema

__all__ = ["Number", "count", "fraction", "minutes_as_ms", "minutes_as_s", "real", "size", "usd_as_micros"]

T = TypeVar("T")
_DECIMAL = re.compile(r"[+-]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)")
_DIGITS_AND_SIGNS = re.compile(r"[+-]?(?:0[0-9xob_a-fA-F]+|[0-9][0-9_]*(?:\.[0-9_]*)?(?:[eE][+-]?[0-9]+)?)")
_NOT_FINITE = re.compile(r"[+-]?\.?(?:inf|nan|infinity)", re.IGNORECASE)
_NO_LIMIT = "leave the key out for no limit"


@dataclass(frozen=True)
class Number(Generic[T]):
    """Above 0 and up to `most`. `zero` is the next move for who wrote 0 in a limit, `None` where the number is no limit."""

    noun: str
    convert: Callable[[Decimal], T]
    most: int
    whole: bool = False
    most_excluded: bool = False
    places: int = 9
    zero: str | None = None
    signed: bool = False
    """Any finite number, 0 and below included."""

    @property
    def words(self) -> str:
        if self.signed:
            return self.noun
        if self.most == 1:
            return f"{self.noun} above 0 and {'below 1' if self.most_excluded else 'up to 1'}"
        return f"{self.noun} above 0"

    def read(self, node: Node, at: str, report: Report) -> T:
        text = self._decimal_text(node, at, report)
        number = Decimal(text)
        if number.is_zero() and self.zero is not None:
            raise report.refused(node.line, at, f"0 means nothing left, so the run could never start; {self.zero}")
        if self.signed and abs(number) <= self.most:
            return self.convert(number)
        if number <= 0 or (self.most_excluded and number == self.most) or (self.most == 1 and number > 1):
            raise self._refused(node, at, report)
        if number > self.most:
            raise report.refused(node.line, at, f"expected at most {self.most}, found {quoted(text)}")
        decimals = len(text.partition(".")[2].rstrip("0"))
        if self.whole and decimals:
            raise self._refused(node, at, report)
        if decimals > self.places:
            raise report.refused(node.line, at, f"expected at most {self.places} decimals, found {quoted(text)}")
        return self.convert(number)

    def _decimal_text(self, node: Node, at: str, report: Report) -> str:
        if not isinstance(node, Scalar):
            raise self._refused(node, at, report)
        if not node.plain:
            hint = "; remove the quotes" if _DECIMAL.fullmatch(node.text) else ""
            raise report.refused(node.line, at, f"expected {self.words}, found the text {quoted(node.text)}{hint}")
        if _DECIMAL.fullmatch(node.text):
            return node.text
        if _NOT_FINITE.fullmatch(node.text):
            raise self._refused(node, at, report, f"; {self.zero}" if self.zero else "")
        hint = "; write plain decimal digits" if _DIGITS_AND_SIGNS.fullmatch(node.text) else ""
        raise self._refused(node, at, report, hint)

    def _refused(self, node: Node, at: str, report: Report, hint: str = "") -> Refused:
        return report.refused(node.line, at, f"expected {self.words}, found {describe(node)}{hint}")

    def schema(self) -> Schema:
        if self.signed:
            return {"type": "number", "minimum": -self.most, "maximum": self.most}
        top = "exclusiveMaximum" if self.most_excluded else "maximum"
        return {"type": "integer" if self.whole else "number", "exclusiveMinimum": 0, top: self.most}


def count(noun: str, *, most: int = 1_000_000, zero: str = _NO_LIMIT) -> Number[int]:
    return Number(f"a whole number of {noun}", int, most, whole=True, zero=zero)


def size(noun: str) -> Number[float]:
    return Number(noun, float, 1_000_000_000)


def real(noun: str) -> Number[float]:
    return Number(noun, float, 1_000_000_000, signed=True)


def fraction(*, one_excluded: bool) -> Number[float]:
    return Number("a number", float, 1, most_excluded=one_excluded)


def minutes_as_ms(*, zero: str) -> Number[int]:
    return Number("a number of minutes", lambda minutes: math.ceil(minutes * 60_000), 10_000_000, zero=zero)


def minutes_as_s(*, zero: str) -> Number[int]:
    """Rounded up to whole seconds."""
    return Number("a number of minutes", lambda minutes: math.ceil(minutes * 60), 10_000_000, zero=zero)


def usd_as_micros(*, zero: str = _NO_LIMIT) -> Number[int]:
    return Number("a number of US dollars", lambda usd: int(usd * 1_000_000), 1_000_000_000, places=6, zero=zero)
