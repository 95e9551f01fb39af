"""The holdout: the same metric on data that no proposer is shown. It decides no keep; it tells when keeps only fit what is shown."""

import math
from typing import Final

from loopwright.kernel.loop import Metric
from loopwright.kernel.ratchet.basis import gain_between
from loopwright.kernel.ratchet.record import Held, Ratchet
from loopwright.kernel.ratchet.robust import mean, spread

__all__ = ["holdout_complete", "holdout_falls", "streak"]

RUNS: Final = 3
FAILURES: Final = 2
FALL_Z: Final = 1.645


def holdout_complete(ratchet: Ratchet, metric: Metric) -> bool:
    """Enough is known of the current head on the held-out data: one run, or a few when runs differ."""
    if metric.holdout is None or ratchet.holdout.failures > FAILURES:
        return True
    return len(ratchet.holdout.values) >= (RUNS if ratchet.noisy else 1)


def holdout_falls(ratchet: Ratchet, metric: Metric) -> int:
    """Keeps in a row after which the holdout was worse than before; 0 while their sum is within the noise."""
    falls, top = streak(ratchet, metric)
    if not falls or not ratchet.holdout.values:
        return 0
    now = ratchet.holdout.values
    fall = -gain_between(mean(now), mean(top.values), metric.goal)
    sd = max(spread(now), spread(top.values))
    return falls if fall > FALL_Z * sd * math.sqrt(1 / len(now) + 1 / len(top.values)) else 0


def streak(ratchet: Ratchet, metric: Metric) -> tuple[int, Held]:
    """Falls in a row up to the current head, and the holdout of the head before the first of them."""
    before, now = ratchet.holdout_before, ratchet.holdout
    if not before.values or not now.values or not holdout_complete(ratchet, metric):
        return ratchet.falls, ratchet.holdout_top
    if gain_between(mean(now.values), mean(before.values), metric.goal) >= 0:
        return 0, Held()
    return ratchet.falls + 1, ratchet.holdout_top if ratchet.falls else before
