"""How often a judge is wrong, from changes of which it is known what they are. Pure.

A judge that always says the same has one rate of 0 % and the other of 100 %: only both together say whether its word is worth
anything. Youden's J is their sum's distance from chance: 1 − misses − false alarms, 1 for a judge that is never wrong, 0 for one
that does not tell a defect from a harmless change.
"""

import math

from loopwright.kernel.values import Value

__all__ = ["Interval", "Rates", "rates_in_words", "wilson"]

NEAR_NOTHING = 0.05
_Z = 1.959963984540054  # two-sided 95 %


class Interval(Value, frozen=True):
    low: float
    high: float


class Rates(Value, frozen=True):
    """`defects` and `harmless` are how many changes of each kind the judge was shown. `missed`: defects that it did not object to;
    `alarms`: harmless changes that it objected to. `unsure` and `unanswered` are of both kinds together and no objections: of a
    defect they are misses. `proved`: defects that a test of the repository fails on."""

    defects: int
    missed: int
    harmless: int
    alarms: int
    unsure: int = 0
    unanswered: int = 0
    proved: int = 0

    @property
    def misses(self) -> Interval:
        return wilson(self.missed, self.defects)

    @property
    def false_alarms(self) -> Interval:
        return wilson(self.alarms, self.harmless)

    @property
    def youden(self) -> float | None:
        """1 − misses − false alarms; `None` where one of the two was never tried."""
        if not self.defects or not self.harmless:
            return None
        return 1 - self.missed / self.defects - self.alarms / self.harmless

    @property
    def says_nothing(self) -> bool:
        """Whether it tells a defect from a harmless change no better than one that always says the same: J is at most `NEAR_NOTHING`."""
        youden = self.youden
        return youden is None or youden <= NEAR_NOTHING + 1e-9  # 1 − 19/20 is a little more than 1/20

    @property
    def says_little(self) -> bool:
        """Whether chance alone may explain what it told apart: 0 lies in the 95 % interval of J (Newcombe 1998, the hybrid interval of
        a difference of two shares, from their Wilson intervals). More changes may settle it."""
        youden = self.youden
        if youden is None:
            return True
        caught = 1 - self.missed / self.defects
        alarmed = self.alarms / self.harmless
        low = youden - math.hypot(caught - (1 - self.misses.high), self.false_alarms.high - alarmed)
        return low <= 0


def wilson(hits: int, tries: int) -> Interval:
    """The 95 % interval of a share (Wilson 1927); all of 0 to 1 where nothing was tried. It is of use for 0 hits and for few tries."""
    if tries == 0:
        return Interval(0.0, 1.0)
    share = hits / tries
    spread = 1 + _Z**2 / tries
    middle = (share + _Z**2 / (2 * tries)) / spread
    half = _Z / spread * math.sqrt(share * (1 - share) / tries + _Z**2 / (4 * tries**2))
    return Interval(max(0.0, middle - half), min(1.0, middle + half))


def rates_in_words(rates: Rates | None) -> str:
    """What stands beside a judge's verdict, without parentheses."""
    if rates is None:
        return "not calibrated: `loopwright review calibrate LOOP.md`"
    counted = (
        f"false alarms {rates.alarms} of {rates.harmless}, misses {rates.missed} of {rates.defects} on seeded defects"
    )
    if rates.says_nothing:
        return f"says nothing: {counted}"
    return f"says little: {counted}" if rates.says_little else counted
