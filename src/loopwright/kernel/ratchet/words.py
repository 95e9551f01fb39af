"""Numbers for people: as many digits as the noise leaves meaning to."""

import math

__all__ = ["number", "one_of", "to_the_digit"]


def number(value: float) -> str:
    """Three significant digits."""
    return f"{value:.3g}"


def to_the_digit(value: float, step: float) -> str:
    """`value` to two digits of `step`, the smallest difference that matters beside it; in full when `step` is 0."""
    if step == 0 or not math.isfinite(step):
        return f"{value:.6g}"
    digits = 1 - math.floor(math.log10(abs(step)))
    if abs(value) >= 1e7 or digits > 9:
        leading = 0 if value == 0 else math.floor(math.log10(abs(value)))
        return f"{value:.{max(2, min(15, leading + digits + 1))}g}"
    return f"{value:.{max(0, digits)}f}"


def one_of(odds: float) -> str:
    """How rare something is; a million says it."""
    return "less than 1 of 1,000,000" if odds >= 1e6 else f"1 of {odds:,.0f}"
