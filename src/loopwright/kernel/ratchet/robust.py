"""Means, spreads and quantiles that no outlier moves far and no magnitude breaks: everything finite in, everything finite out.

Numbers of a metric come from programs: 1e300 and 1e-300 are as good as 0.4. Nothing here squares a raw value or adds two of them
before they are scaled. Lists are short (at most a few dozen).
"""

import math
from collections.abc import Sequence
from typing import Final

__all__ = [
    "CLIP_SDS",
    "LARGEST",
    "clipped",
    "less",
    "mean",
    "median",
    "normal_quantile",
    "pooled",
    "spread",
    "student",
    "winsorised",
]

LARGEST: Final = 1e300
"""No difference and no spread is larger: a few of them still add up to a float."""
CLIP_SDS: Final = 2.0
"""Deviations are clipped here: 5 % of normal noise, and all of what makes a mean of heavy tails worthless."""
CLIPPED_SD: Final = 0.9594
"""Standard deviation of standard normal noise after the clipping."""
MAD_TO_SD: Final = 1.4826
"""Of a normal distribution: standard deviation over median absolute deviation."""
MAD_RUNS: Final = 6
"""Fewer values than this have no median absolute deviation worth the name."""


def less(one: float, other: float) -> float:
    """`one - other`, never more than 1e300 and never infinite."""
    return max(-LARGEST, min(LARGEST, float(one) - float(other)))


def mean(values: Sequence[float]) -> float:
    """Of at least one value."""
    count = len(values)
    first = values[0]
    if all(value == first for value in values):
        return float(first)  # the mean of equal numbers is that number, to the last bit
    return math.fsum(value / count for value in values)


def median(values: Sequence[float]) -> float:
    """Of at least one value."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return float(ordered[middle])
    return ordered[middle - 1] / 2 + ordered[middle] / 2


def clipped(value: float, limit: float) -> float:
    return max(-limit, min(limit, value))


def winsorised(values: Sequence[float], sd: float) -> float:
    """The mean of at least one value, none further than `CLIP_SDS` standard deviations `sd` from their median."""
    if sd <= 0 or len(values) < 3:
        return mean(values)
    middle = median(values)
    return middle + mean([clipped(less(value, middle), CLIP_SDS * sd) for value in values])


def spread(values: Sequence[float], reference: float | None = None) -> float:
    """Standard deviation with the outliers clipped at `CLIP_SDS`; 0 for fewer than two values.

    `reference` is a standard deviation that is known already; without one the median absolute deviation says what an outlier is.
    """
    if len(values) < 2:
        return 0.0
    middle = median(values)
    deviations = [less(value, middle) for value in values]
    if reference is None and len(values) >= MAD_RUNS:
        reference = MAD_TO_SD * median([abs(deviation) for deviation in deviations])
    whole = 1.0
    if reference:
        whole = CLIPPED_SD
        deviations = [clipped(deviation, CLIP_SDS * reference) for deviation in deviations]
    largest = max(abs(deviation) for deviation in deviations)
    if largest == 0:
        return 0.0
    scaled = [deviation / largest for deviation in deviations]
    centre = math.fsum(scaled) / len(scaled)
    squares = math.fsum((value - centre) ** 2 for value in scaled)
    return min(LARGEST, largest / whole * math.sqrt(squares / (len(scaled) - 1)))


def pooled(sd: float, dof: int, other_sd: float, other_dof: int) -> float:
    """One standard deviation from two, weighted by their degrees of freedom."""
    both = dof + other_dof
    if both == 0:
        return 0.0
    return min(LARGEST, math.hypot(sd * math.sqrt(dof / both), other_sd * math.sqrt(other_dof / both)))


def student(dof: int) -> float:
    """The 97.5 % quantile of Student's t, for two-sided 95 % intervals; within 0.5 % (Abramowitz and Stegun 26.7.5)."""
    if dof < 1:
        return math.inf
    exact = {1: 12.7062, 2: 4.3027, 3: 3.1824, 4: 2.7764}
    if dof in exact:
        return exact[dof]
    z = 1.959964
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / dof + second / dof**2 + third / dof**3


def normal_quantile(share: float) -> float:
    """The standard normal value that a `share` of 0 < share < 1 lies below, within 0.0005 (Abramowitz and Stegun 26.2.23)."""
    tail = min(share, 1 - share)
    t = math.sqrt(-2 * math.log(tail))
    value = t - (2.515517 + 0.802853 * t + 0.010328 * t**2) / (1 + 1.432788 * t + 0.189269 * t**2 + 0.001308 * t**3)
    return -value if share < 0.5 else value
