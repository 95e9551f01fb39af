"""What a run may say it has gained: only runs count that no decision was made from."""

import math
from typing import Literal

from loopwright.kernel.loop import Metric
from loopwright.kernel.ratchet.basis import gain_between, mean_of, noise, values
from loopwright.kernel.ratchet.record import Ratchet
from loopwright.kernel.ratchet.robust import less, spread, student, winsorised
from loopwright.kernel.ratchet.words import to_the_digit
from loopwright.kernel.values import Value

__all__ = ["Claim", "claim", "head_mean", "head_summary", "noise_sd"]


class Claim(Value, frozen=True):
    """`gain` of the head over the base in the metric's unit, positive = better; `low` and `high` bound it with 95 %.

    `runs`: of base and head together. `final`: both were run anew, in turn, at the end. `confirm`: the head's runs after it was
    kept against the calibration of the base, so anything that changed on the machine in between counts as gain or loss.
    """

    gain: float
    low: float
    high: float
    runs: int
    source: Literal["final", "confirm"]
    note: str


def claim(ratchet: Ratchet, metric: Metric) -> Claim | None:
    """The gain over the base that fresh runs show; `None` before anything was measured of both."""
    if not ratchet.base:
        return None
    if not ratchet.kept or (ratchet.head_tree is not None and ratchet.head_tree == ratchet.base_tree):
        note = "nothing was kept" if not ratchet.kept else "the head is the base again"
        return Claim(0.0, 0.0, 0.0, len(ratchet.base), "confirm", note)
    pairs = min(len(ratchet.final_base), len(ratchet.final_head))
    if pairs >= 2:
        differences = [
            gain_between(new, old, metric.goal)
            for new, old in zip(ratchet.final_head, ratchet.final_base, strict=False)
        ]
        sd = spread(differences, noise(ratchet).sd * math.sqrt(2))
        gain = winsorised(differences, sd)
        half = student(pairs - 1) * sd / math.sqrt(pairs)
        note = f"{pairs} runs of base and head each, in turn, after the last keep"
        return _claim(gain, half, 2 * pairs, "final", note)
    if not ratchet.confirm:
        return None
    new, old = values(ratchet.confirm), values(ratchet.base)
    known = noise(ratchet)
    error = known.sd * math.sqrt(1 / len(new) + 1 / len(old)) if ratchet.noisy else 0.0
    gain = gain_between(winsorised(new, known.sd), winsorised(old, known.sd), metric.goal)
    note = f"{len(new)} run{'s' if len(new) > 1 else ''} of the head against {len(old)} of the base at the start"
    half = student(max(1, known.dof)) * error if error else 0.0
    return _claim(gain, half, len(new) + len(old), "confirm", note)


def head_summary(ratchet: Ratchet, metric: Metric) -> str:
    """The head in a few words: mean, half of its 95 % interval, runs."""
    if not ratchet.fresh:
        return f"{metric.name} not measured yet"
    centre, runs = mean_of(ratchet.fresh), len(ratchet.fresh)
    counted = f"{runs} run{'s' if runs > 1 else ''}"
    known = noise(ratchet)
    if not ratchet.noisy or known.sd == 0:
        return f"{metric.name} {to_the_digit(centre, 0.0)} ({counted}, no noise seen)"
    half = student(max(1, known.dof)) * known.sd / math.sqrt(runs)
    return f"{metric.name} {to_the_digit(centre, half)} ± {to_the_digit(half, half)} ({counted})"


def noise_sd(ratchet: Ratchet) -> float | None:
    """Standard deviation of one run; 0 = runs never differed, `None` = not known yet."""
    if len(ratchet.base) < 2:
        return None
    return noise(ratchet).sd if ratchet.noisy else 0.0


def head_mean(ratchet: Ratchet) -> float | None:
    """Of the head's latest runs, in the metric's unit; `None` while it has none."""
    return mean_of(ratchet.fresh) if ratchet.fresh else None


def _claim(gain: float, half: float, runs: int, source: Literal["final", "confirm"], note: str) -> Claim:
    return Claim(gain, less(gain, half), less(gain, -half), runs, source, note)
