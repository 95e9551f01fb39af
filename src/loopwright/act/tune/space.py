"""What values a knob can take. Every ordered space is seen as the interval from 0 to 1, in which steps of equal size are worth about
the same: logarithmic for what is multiplied, log-odds for probabilities. Pure."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from loopwright.act.tune.places import Setting
from loopwright.act.tune.words import is_probability, is_width

__all__ = ["Space", "default_space", "round_float", "same"]

DIGITS = 3
_FACTOR, _INT_FACTOR = 10.0, 4


@dataclass(frozen=True, slots=True)
class Space:
    """`choices` are in their order when `ordered`. `step` counts from `low` (linear spaces only). `fixed`: a comment gave the range,
    so it does not follow the head."""

    kind: Literal["float", "int", "choice"]
    low: float = 0.0
    high: float = 0.0
    scale: Literal["linear", "log", "logit"] = "linear"
    step: float | None = None
    choices: tuple[Setting, ...] = ()
    ordered: bool = True
    fixed: bool = False

    def holds(self, value: Setting) -> bool:
        """Whether `value` is of this space: its kind and its range."""
        if self.kind == "choice":
            return any(same(value, c) for c in self.choices)
        if isinstance(value, bool | str) or (self.kind == "int" and not isinstance(value, int)):
            return False
        return self.low <= value <= self.high

    def takes(self, value: Setting) -> bool:
        """Whether `value` can be placed in it, at its border when it is outside."""
        if self.kind == "choice":
            return self.holds(value)
        return not isinstance(value, bool | str) and (self.kind == "float" or isinstance(value, int))

    def unit(self, value: Setting) -> float:
        """Where `value` lies, 0 to 1; what is outside the range lies at its border. Choices: their index, spread evenly."""
        if self.kind == "choice":
            index = next(i for i, c in enumerate(self.choices) if same(value, c))
            return index / max(1, len(self.choices) - 1)
        assert not isinstance(value, str)
        bounded = min(max(float(value), self.low), self.high)
        low, high = self._scaled(self.low), self._scaled(self.high)
        return (self._scaled(bounded) - low) / (high - low)

    def at(self, unit: float) -> Setting:
        """The value there, rounded to what is written into a file."""
        unit = min(max(unit, 0.0), 1.0)
        if self.kind == "choice":
            return self.choices[round(unit * (len(self.choices) - 1))]
        low, high = self._scaled(self.low), self._scaled(self.high)
        raw = self._unscaled(low + unit * (high - low))
        if self.step is not None:
            raw = self.low + round((raw - self.low) / self.step) * self.step
            raw = raw if raw <= self.high + self.step * 1e-9 else raw - self.step
        if self.kind == "int":
            return min(max(round(raw), math.ceil(self.low)), math.floor(self.high))
        rounded = round_float(raw, near_one=self.scale == "logit", exact=self.step is not None)
        return min(max(rounded, self.low), self.high)

    def moves(self, value: Setting, share: float) -> tuple[Setting, ...]:
        """One step from `value` in each direction, `share` of the space long and never nothing; the upward one first.

        Of unordered choices every other one.
        """
        if self.kind == "choice" and not self.ordered:
            return tuple(c for c in self.choices if not same(c, value))
        if self.kind == "choice":
            index = next((i for i, c in enumerate(self.choices) if same(c, value)), None)
            if index is None:
                return self.choices
            jump = max(1, round(share * (len(self.choices) - 1)))
            near = (min(index + jump, len(self.choices) - 1), max(index - jump, 0))
            return tuple(self.choices[i] for i in near if i != index)
        found: list[Setting] = []
        for sign in (1, -1):
            moved = self.at(self.unit(value) + sign * share)
            if self.kind == "int" and same(moved, value):
                moved = self.at(self.unit(round(value) + sign * round(self.step or 1)))  # type: ignore[arg-type]
            if not same(moved, value) and moved not in found:
                found.append(moved)
        return tuple(found)

    def widened(self, values: Sequence[Setting]) -> "Space":
        """With room for what is known already; a range that a comment gave stays as it is."""
        if self.fixed or (self.kind == "choice" and (not self.ordered or isinstance(self.choices[0], bool | str))):
            return self
        if self.kind == "choice":
            powers = {
                v for v in values if isinstance(v, int) and not isinstance(v, bool) and v > 0 and v & (v - 1) == 0
            }
            return replace(self, choices=tuple(sorted({*self.choices, *powers})))
        kinds = int if self.kind == "int" else (int, float)
        known = [float(v) for v in values if isinstance(v, kinds) and not isinstance(v, bool) and self._inside_scale(v)]
        return replace(self, low=min([self.low, *known]), high=max([self.high, *known]))

    @property
    def size(self) -> int | None:
        """How many values it has; `None` = more than can be listed."""
        if self.kind == "choice":
            return len(self.choices)
        if self.step is not None:
            return math.floor((self.high - self.low) / self.step + 1e-9) + 1
        return math.floor(self.high) - math.ceil(self.low) + 1 if self.kind == "int" else None

    def values(self) -> Iterator[Setting]:
        """All of them, in order; only where `size` is a number."""
        if self.kind == "choice":
            yield from self.choices
            return
        assert self.size is not None
        for index in range(self.size):
            value = self.low + index * (self.step or 1)
            yield round(value) if self.kind == "int" else min(round_float(value, exact=True), self.high)

    def _inside_scale(self, value: float) -> bool:
        if self.scale == "log":
            return value * self.low > 0
        return 0 < value < 1 if self.scale == "logit" else True

    def _scaled(self, value: float) -> float:
        if self.scale == "log":
            return math.log(value) if value > 0 else -math.log(-value)
        return math.log(value / (1 - value)) if self.scale == "logit" else value

    def _unscaled(self, value: float) -> float:
        if self.scale == "log":
            return math.exp(value) if self.low > 0 else -math.exp(-value)
        return 1 / (1 + math.exp(-value)) if self.scale == "logit" else value


def default_space(name: str, value: Setting) -> Space:
    """The range of a knob that nobody described, from its name, its sign and its size."""
    if isinstance(value, bool):
        return Space("choice", choices=(False, True), ordered=False)
    assert not isinstance(value, str), "a string's choices must be seen"
    if isinstance(value, int):
        return _ints(name, value)
    if is_probability(name) and 0 <= value <= 1:
        if value == 0:
            return Space("float", 0.0, 0.5)
        if value == 1:
            return Space("float", 0.2, 1.0)
        odds = math.log(value / (1 - value))
        ends = (odds - math.log(_FACTOR), odds + math.log(_FACTOR))
        low, high = (round_float(1 / (1 + math.exp(-end)), near_one=True) for end in ends)
        return Space("float", low, high, "logit")
    if value == 0:
        return Space("float", 0.0, 1.0)
    near, far = round_float(value / _FACTOR), round_float(value * _FACTOR)
    return Space("float", min(near, far), max(near, far), "log")


def _ints(name: str, value: int) -> Space:
    if value == 0:
        return Space("int", 0, _INT_FACTOR)
    size = abs(value)
    if value > 0 and is_width(name) and size >= 8 and size & (size - 1) == 0:
        return Space("choice", choices=tuple(size * 2**k // 4 for k in range(5)))
    small, large = max(1, round(size / _INT_FACTOR)), size * _INT_FACTOR
    return Space("int", small, large, "log") if value > 0 else Space("int", -large, -small, "log")


def round_float(value: float, *, near_one: bool = False, exact: bool = False) -> float:
    """`value` with three significant digits; with `near_one` those of its distance to 1 where that is the smaller one.

    `exact`: the value stands on a grid, and only the dust of the arithmetic is taken away.
    """
    if exact:
        return float(f"{value:.12g}")
    if near_one and 0.5 < value < 1:
        return float(f"{1 - float(f'{1 - value:.{DIGITS}g}'):.12g}")
    return float(f"{value:.{DIGITS}g}")


def same(one: Setting, other: Setting) -> bool:
    """Equal as settings: `1` and `True` are two, floats are one within the dust of the arithmetic."""
    if isinstance(one, bool | str) or isinstance(other, bool | str):
        return type(one) is type(other) and one == other
    return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-15)
