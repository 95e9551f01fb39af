"""Amounts are whole cents; here they are rounded, read and written."""

import re

_AMOUNT = re.compile(r"(-?)(\d+)(?:[.,](\d{1,2}))?")


def percent_of(cents: int, percent: int) -> int:
    """A share of an amount, half a cent up."""
    return (cents * percent + 50) // 100


def included_tax(gross_cents: int, percent: int) -> int:
    """The tax that a gross amount holds, half a cent up."""
    divisor = 100 + percent
    return (2 * gross_cents * percent + divisor) // (2 * divisor)


def parse_cents(text: str) -> int:
    """`12.50`, `12,5` and `12` as cents."""
    found = _AMOUNT.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"not an amount: {text!r}")
    sign, whole, fraction = found.groups()
    cents = int(whole) * 100 + int((fraction or "0").ljust(2, "0"))
    return -cents if sign else cents


def format_cents(cents: int) -> str:
    """With two decimals and spaces between the thousands."""
    sign = "-" if cents < 0 else ""
    whole, fraction = divmod(abs(cents), 100)
    return f"{sign}{whole:,}".replace(",", " ") + f".{fraction:02d}"
