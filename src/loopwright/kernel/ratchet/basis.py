"""What is known of head and noise, read off the record: the questions that every other module here asks."""

from typing import Final

from loopwright.kernel.loop import Metric
from loopwright.kernel.ratchet.record import Noise, Ratchet, Run
from loopwright.kernel.ratchet.robust import less, mean, pooled, spread

__all__ = ["calibration", "confirm_runs", "gain_between", "noise", "settled_on_base", "values", "worth"]

IDENTICAL_RUNS: Final = 4
"""As many runs that agree to the last bit and the metric counts as free of noise, until a run says otherwise."""

REFERENCE_DOF: Final = 6
"""Degrees of freedom from which on a spread may say what an outlier is."""


def values(runs: tuple[Run, ...], channel: int = 0) -> list[float]:
    """Channel 0 is the metric, 1 and on the bounds in their order."""
    return [run.value if channel == 0 else run.others[channel - 1] for run in runs]


def worth(value: float, goal: str) -> float:
    """The same number, turned so that larger is better."""
    return value if goal == "max" else -value


def gain_between(new: float, old: float, goal: str) -> float:
    return less(worth(new, goal), worth(old, goal))


def calibration(metric: Metric) -> int:
    """Runs of the base that are wanted; one alone would say nothing of noise."""
    return max(2, metric.calibrate)


def settled_on_base(ratchet: Ratchet, metric: Metric) -> bool:
    """The calibration is complete: all runs, or the first few without the slightest difference."""
    runs = ratchet.base
    if len(runs) >= calibration(metric):
        return True
    return len(runs) >= IDENTICAL_RUNS and all(run == runs[0] for run in runs)


def confirm_runs(ratchet: Ratchet, metric: Metric) -> int:
    """Fresh runs that a new head needs: one when runs never differ, a whole calibration when they just began to, half of one else."""
    if not ratchet.noisy:
        return 1
    if noise(ratchet, confirmed=False).dof == 0:
        return calibration(metric)
    return max(2, calibration(metric) // 2)


def noise(ratchet: Ratchet, channel: int = 0, *, confirmed: bool = True) -> Noise:
    """Of one run, from everything measured so far: calibration, earlier heads and trials, and the head's own confirm runs."""
    known = ratchet.noises[channel] if channel < len(ratchet.noises) else Noise()
    blocks = [ratchet.base, ratchet.confirm] if confirmed else [ratchet.base]
    for runs in blocks:
        if len(runs) >= 2:
            known = joined(known, values(runs, channel), len(runs) - 1)
    return known


def joined(known: Noise, block: list[float], dof: int, reference: Noise | None = None) -> Noise:
    """`known` with the spread of runs of one tree. Runs that all agree tell nothing of how much others differ. `reference` says what
    an outlier is; `None` = `known` does. One of few degrees of freedom does not: two pairs that happened to agree would clip all
    that is measured after them to their own luck, for good."""
    clip = known if reference is None else reference
    sd = spread(block, clip.sd or None if clip.dof >= REFERENCE_DOF else None)
    if sd == 0:
        return known
    return Noise(pooled(known.sd, known.dof, sd, dof), known.dof + dof)


def mean_of(runs: tuple[Run, ...], channel: int = 0) -> float:
    return mean(values(runs, channel))
