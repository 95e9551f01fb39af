"""Evidence from interleaved pairs that a candidate is better than its head, valid whenever one stops to look.

If the candidate changes nothing, its run and the head's are exchangeable: their difference is as likely +d as -d, whatever the
noise looks like. A bet that pays 2 / (1 + exp(-x)) on a difference that stands for x then multiplies a stake by 1 on average, and
a stake that has grown to 1/a is something that chance does with probability a at most, at any time (Ville 1939). x = 2 d delta / V
is the best bet against normal noise of variance V (of a difference) and a gain of delta. A wrong V or delta costs power, never
validity: heavy tails and drifts that hit both of a pair need no further care. One pair counts at most double.
"""

import math
from collections.abc import Sequence
from typing import Final

from loopwright.kernel.ratchet.clear import agree, size_stakes
from loopwright.kernel.ratchet.record import Noise
from loopwright.kernel.ratchet.robust import CLIP_SDS, clipped

__all__ = ["LEAST_PAIRS", "ON_SIZES", "chance_of_sum", "evidence", "log_likelihood", "sign_stakes"]

ON_SIZES: Final = 0.5
"""Share of the stake that is bet on sizes: clear gains get there through it, and small ones pay half a pair for it."""
LEAST_PAIRS: Final = 3
"""No evidence from fewer pairs decides, however large the gain looks: two runs that went wrong together are no gain."""
LARGEST_STAKE: Final = 1e200
GRAINS: Final = 40
"""Steps of one standard deviation on which the exact test counts: coarse enough for whole numbers, finer than any decision."""


def evidence(differences: Sequence[float], known: Noise, gains: Sequence[float]) -> float:
    """The stake at its best, from the third pair on; 1 before. Half of it was bet on signs, half on sizes: the mean of two fair games is
    a fair game. `differences`: candidate minus head, larger = better; `gains`: those that signs are bet on for."""
    signs, sizes = sign_stakes(differences, known.sd, gains), size_stakes(differences, known)
    both = [
        (1 - ON_SIZES) * sign + (ON_SIZES * size if agree(differences[:pairs]) else 0.0)
        for pairs, (sign, size) in enumerate(zip(signs, sizes, strict=True), 1)
    ]
    return max([1.0, *both[LEAST_PAIRS - 1 :]])


def sign_stakes(differences: Sequence[float], sd: float, gains: Sequence[float]) -> list[float]:
    """The stake on signs after every pair. `sd`: of one run; `gains`: those that are bet on, in equal parts."""
    bets = [_ratio(gain, sd) for gain in gains]
    stakes = [1.0] * len(bets)
    found = []
    for difference in differences:
        apart = _ratio(difference, sd)
        stakes = [
            min(LARGEST_STAKE, stake * 2 / (1 + math.exp(clipped(-apart * bet, 700.0))))
            for stake, bet in zip(stakes, bets, strict=True)
        ]
        found.append(math.fsum(stakes) / len(stakes))
    return found


def chance_of_sum(differences: Sequence[float], sd: float) -> float:
    """Fisher's exact test: the share of all ways to put signs before the differences that sum to as much as these signs do.

    Differences are clipped at two standard deviations (of a difference) and counted in whole grains; both are symmetric, so the
    test stays exact whatever the noise. Good for one look that was fixed beforehand.
    """
    grains = [round(clipped(_ratio(difference, sd) / math.sqrt(2), CLIP_SDS) * GRAINS) for difference in differences]
    sizes = [abs(grain) for grain in grains]
    # The coefficient of x^k in the product of (1 + x^size) is the number of ways in which the plus signs sum to k. All coefficients
    # stand side by side in one whole number, `width` bits each, so that a factor is one shift and one addition.
    width = len(sizes) + 1
    ways = 1
    for size in sizes:
        ways += ways << (width * size)
    least = (sum(sizes) + sum(grains)) // 2  # what the plus signs sum to as measured
    tail, mask, count = ways >> (width * least), (1 << width) - 1, 0
    while tail:
        count += tail & mask
        tail >>= width
    return float(count / (1 << len(sizes)))


def log_likelihood(differences: Sequence[float], sd: float, gain: float) -> float:
    """Log-likelihood ratio of a true gain of `gain` against none, under normal noise; decides only what is given up, never a keep."""
    step = _ratio(gain, sd)
    return math.fsum(step * (_ratio(difference, sd) - step / 2) / 2 for difference in differences)


def _ratio(value: float, sd: float) -> float:
    """In standard deviations, of which a thousand are as good as any number more."""
    if value == 0:
        return 0.0
    if sd <= abs(value) / 1000:
        return math.copysign(1000.0, value)
    return value / sd
