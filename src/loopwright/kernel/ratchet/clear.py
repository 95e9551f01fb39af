"""Evidence from the size of the differences, so that what everybody sees after three pairs is settled after three pairs.

Signs alone say at most "double" a pair. A difference of many standard deviations says more, provided that the noise has a scale
and that the scale is known: that is what this bets on, and what the bets on signs do not. A bet is the likelihood ratio of a Cauchy
distribution about a gain against the same about 0, level beyond its peak and capped. Its mean is below 1 under that Cauchy noise,
under every symmetric noise whose sizes are smaller quantile by quantile, and under normal noise that is up to a quarter larger
than what was measured (integrated in the tests).

What guards the scale: few degrees of freedom widen it as they widen a prediction; the candidate's own earlier pairs widen it when
it is noisier than the head; the stake counts only while the trial's own pairs agree, whatever the scale; the cap lets no outlier
decide; and `evidence` asks for `LEAST_PAIRS` whatever the stake.
"""

import math
from collections.abc import Sequence
from typing import Final

from loopwright.kernel.ratchet.record import Noise
from loopwright.kernel.ratchet.robust import LARGEST, clipped, mean, pooled, spread

__all__ = ["BETS", "TAILS", "Bet", "agree", "factor", "scales", "size_stakes"]

Bet = tuple[float, float]
"""The gain that is bet on, in standard deviations of a pair, and the most that one pair multiplies the stake by."""

TAILS: Final = 0.6
"""Scale of the Cauchy noise that is bet against, in standard deviations of a pair: `spread` makes of Cauchy noise 1.7 scales or more."""
BETS: Final[tuple[Bet, ...]] = ((2.0, 5.0), (3.0, 9.0), (5.0, 16.0))
"""In equal parts. With these caps the mean under Cauchy noise is 0.88 to 0.95. They also mean that three pairs are the fewest that a first
test can settle on; a bet on a gain of more than five would therefore gain nothing."""
LEAST_DOF: Final = 3
"""With fewer degrees of freedom a prediction has no standard deviation, and no bet on sizes is made."""
PRIOR_DOF: Final = 2
"""What the known scale weighs beside the spread of the candidate's own pairs, which may widen it and never narrow it."""
ROOT_OF_TWO: Final = 2**0.5
AGREEING: Final = (6.965, 4.541, 3.747, 3.365, 3.143, 2.998, 2.896, 2.821)
"""99 % quantiles of Student's t for three pairs and more. The stake on sizes counts only while the pairs say as much themselves: three
lucky runs of a candidate ten times noisier than the head, of which the known scale knows nothing, then do so in 1 %."""
LARGEST_STAKE: Final = 1e200
FARTHEST: Final = 1000.0


def factor(apart: float, bet: Bet) -> float:
    """What a pair multiplies the stake by that is `apart` standard deviations (of a pair) in favour of the candidate."""
    gain, cap = bet
    shift = gain / TAILS
    peak = (shift + math.sqrt(shift * shift + 4)) / 2
    at = min(apart / TAILS, peak)
    return min(cap, (1 + at * at) / (1 + (at - shift) ** 2))


def scales(differences: Sequence[float], known: Noise) -> list[float]:
    """The standard deviation of a difference that each pair is measured in, from what was known before that pair; 0 = none known."""
    if known.dof < LEAST_DOF or known.sd <= 0:
        return [0.0] * len(differences)
    predicted = min(LARGEST, known.sd * ROOT_OF_TWO * (known.dof / (known.dof - 2)) ** 0.5)
    found = []
    for pair in range(len(differences)):
        own = pooled(predicted, PRIOR_DOF, spread(differences[:pair]), pair - 1) if pair >= 2 else 0.0
        found.append(max(predicted, own))
    return found


def size_stakes(differences: Sequence[float], known: Noise) -> list[float]:
    """The stake after every pair; 1 throughout while the scale is not known well enough to bet. `differences`: larger = better."""
    stakes = [1.0] * len(BETS)
    found = []
    for difference, scale in zip(differences, scales(differences, known), strict=True):
        if scale > 0:
            apart = clipped(difference / scale, FARTHEST)
            stakes = [min(LARGEST_STAKE, stake * factor(apart, bet)) for stake, bet in zip(stakes, BETS, strict=True)]
        found.append(sum(stakes) / len(stakes))
    return found


def agree(differences: Sequence[float]) -> bool:
    """At least three pairs that are above 0 by Student's test at 1 %, whatever else is known of the noise."""
    pairs = len(differences)
    if pairs < 3:
        return False
    error = spread(differences, LARGEST) / pairs**0.5  # nothing is clipped: what moves the mean widens its error
    return mean(differences) > 0 and mean(differences) / AGREEING[min(pairs - 3, len(AGREEING) - 1)] >= error
