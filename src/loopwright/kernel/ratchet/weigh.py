"""The verdict of a trial, in one line that a person understands."""

import math

from loopwright.kernel.loop import Metric
from loopwright.kernel.ratchet.basis import mean_of, noise, values
from loopwright.kernel.ratchet.bounds import BoundReading
from loopwright.kernel.ratchet.record import Ratchet, Trial
from loopwright.kernel.ratchet.robust import less, winsorised
from loopwright.kernel.ratchet.standing import Standing, simplifies, standing_of
from loopwright.kernel.ratchet.words import number, one_of, to_the_digit
from loopwright.kernel.values import Proposal, Verdict

__all__ = ["weigh"]

VERIFIER = "metric"


def weigh(ratchet: Ratchet, metric: Metric, proposal: Proposal) -> Verdict:
    """The metric's verdict from all runs of the trial; `score` is the estimated gain in the metric's unit, larger = better."""
    trial = ratchet.trial
    if trial is None or trial.proposal_id != proposal.id:
        return Verdict(VERIFIER, "inconclusive", f"{metric.name}: nothing was measured")
    standing = standing_of(ratchet, metric, trial, simpler=simplifies(proposal, metric))
    if trial.failure is not None:
        of = f" in run {1 + len(trial.candidates) + 1}" if trial.screen is not None else ""
        return Verdict(VERIFIER, "crash", f"{metric.name}: {trial.failure.status}{of}: {trial.failure.message}")
    if standing.answer == "inconclusive" or standing.answer is None:
        why = "not enough runs"
        if trial.head_failure is not None:
            times = trial.head_failures
            why = f"the head itself failed {times} times beside it ({trial.head_failure.status}: {trial.head_failure.message})"
        return Verdict(VERIFIER, "inconclusive", f"{metric.name}: {why}", standing.gain)
    passed = standing.answer in ("better", "simpler")
    return Verdict(VERIFIER, "pass" if passed else "fail", _line(ratchet, metric, trial, standing), standing.gain)


def _line(ratchet: Ratchet, metric: Metric, trial: Trial, standing: Standing) -> str:
    assert trial.screen is not None and standing.gain is not None
    gain, error = standing.gain, standing.error
    step = error or abs(gain)
    if standing.pairs:
        # The means that are shown are those that the gain is the difference of: outliers clipped.
        old = winsorised(values(trial.heads), noise(ratchet).sd)
        new = less(old, gain if metric.goal == "min" else -gain)
    else:
        new, old = trial.screen.value, mean_of(ratchet.fresh or trial.heads)
        error = 0.0
    start = f"{metric.name} {to_the_digit(new, step)} against {to_the_digit(old, step)}: {_apart(gain, error, step)}"
    if standing.pairs:
        start += f" over {standing.pairs} pair{'s' if standing.pairs > 1 else ''}"
    if standing.answer == "simpler":
        return f"{start}, as good as the head and fewer lines"
    if standing.answer == "too_small":
        return f"{start}, less than min_effect {number(metric.min_effect or 0.0)}"
    if standing.answer == "out_of_bounds" and standing.bound is not None:
        return f"{start}, but {_over(standing.bound)}"
    if not ratchet.noisy:
        return start
    if not standing.pairs:
        return f"{start} in its first run, no more were spent on it"
    chance = f"chance alone does that in {one_of(math.floor(standing.odds))} trials"
    if standing.answer == "better":
        return f"{start}, {chance}"
    if standing.odds < 2:
        return f"{start}, no sign of a gain"
    return f"{start}, {chance}, {one_of(math.ceil(min(1e9, standing.needed)))} was needed"


def _over(bound: BoundReading) -> str:
    step = bound.error or abs(bound.worse)
    noise = f" ± {to_the_digit(bound.error, step)}" if bound.error else ""
    return f"{bound.name} is worse by {to_the_digit(bound.worse, step)}{noise}, and {number(bound.worse_by)} is allowed"


def _apart(gain: float, error: float, step: float) -> str:
    if gain == 0 and error == 0:
        return "no difference"
    by = f"{'worse' if gain < 0 else 'better'} by {to_the_digit(abs(gain), step)}"
    return f"{by} ± {to_the_digit(error, step)}" if error else by
