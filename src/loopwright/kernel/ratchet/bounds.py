"""The bounds: second numbers that must not get worse by more than the loop allows."""

import math
from dataclasses import dataclass
from typing import Final, Literal

from loopwright.kernel.loop import Metric
from loopwright.kernel.ratchet.basis import gain_between, mean_of, noise, values
from loopwright.kernel.ratchet.record import Ratchet, Trial
from loopwright.kernel.ratchet.robust import winsorised

__all__ = ["BoundReading", "read_bounds"]

SURE_Z: Final = 1.0
BROKEN_Z: Final = 2.0
SCREEN_Z: Final = 3.0


@dataclass(frozen=True, slots=True)
class BoundReading:
    """`worse`: how much worse the candidate's mean is than the head's, in the bound's unit (negative = better), with its standard
    error. `close`: the noise does not tell yet."""

    name: str
    worse: float
    error: float
    worse_by: float
    state: Literal["held", "close", "broken"]


def read_bounds(ratchet: Ratchet, metric: Metric, trial: Trial) -> tuple[BoundReading, ...]:
    """One reading a bound, from the pairs; from the first run against the head's latest ones while there is no pair."""
    pairs = min(len(trial.candidates), len(trial.heads))
    found = []
    for channel, bound in enumerate(metric.bounds, 1):
        sd = noise(ratchet, channel).sd
        if pairs:
            differences = [
                -gain_between(one, other, bound.goal)
                for one, other in zip(values(trial.candidates, channel), values(trial.heads, channel), strict=False)
            ]
            worse = winsorised(differences, sd * math.sqrt(2))
            error, broken_z = sd * math.sqrt(2 / pairs), BROKEN_Z
        elif trial.screen is not None and (ratchet.fresh or trial.heads):
            runs = ratchet.fresh or trial.heads
            worse = -gain_between(trial.screen.others[channel - 1], mean_of(runs, channel), bound.goal)
            error, broken_z = sd * math.sqrt(1 + 1 / len(runs)), SCREEN_Z
        else:
            continue
        state: Literal["held", "close", "broken"] = "close"
        if worse - broken_z * error > bound.worse_by:
            state = "broken"
        elif worse + SURE_Z * error <= bound.worse_by:
            state = "held"
        found.append(BoundReading(bound.name, worse, error, bound.worse_by, state))
    return tuple(found)
