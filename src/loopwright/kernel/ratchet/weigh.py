"""The verdict of a trial, in one line that a person understands."""

import math

from loopwright.kernel.loop import Metric
from loopwright.kernel.ratchet.basis import mean_of
from loopwright.kernel.ratchet.record import Ratchet, Trial
from loopwright.kernel.ratchet.standing import Standing, simplifies, standing_of
from loopwright.kernel.ratchet.words import number, to_the_digit
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
        new, old = mean_of(trial.candidates[: standing.pairs]), mean_of(trial.heads[: standing.pairs])
    else:
        new, old = trial.screen.value, mean_of(ratchet.fresh or trial.heads)
    start = f"{metric.name} {to_the_digit(new, step)} against {to_the_digit(old, step)}"
    apart = _apart(gain, error, step)
    pairs = f" over {standing.pairs} pairs" if standing.pairs else ""
    chance = f"chance does that in 1 of {number(math.floor(standing.strongest))} trials"
    needed = f"1 of {number(math.ceil(standing.needed))} was needed" if standing.needed < 1e300 else "none may be false"
    if standing.answer == "better":
        return f"{start}: {apart}{pairs}, {chance}" if standing.pairs and ratchet.noisy else f"{start}: {apart}"
    if standing.answer == "simpler":
        return f"{start}: {apart}{pairs}, as good as the head and fewer lines"
    if standing.answer == "too_small":
        return f"{start}: {apart}{pairs}, less than min_effect {number(metric.min_effect or 0.0)}"
    if standing.answer == "out_of_bounds" and standing.bound is not None:
        bound = standing.bound
        by = to_the_digit(bound.worse, bound.error or abs(bound.worse))
        noise = f" ± {number(bound.error)}" if bound.error else ""
        return f"{start}: {apart}{pairs}, but {bound.name} is worse by {by}{noise}, and {number(bound.worse_by)} is allowed"
    if not ratchet.noisy:
        return f"{start}: {apart}"
    if not standing.pairs:
        return f"{start}: {apart} in its first run, no more were spent on it"
    if standing.strongest <= 1.5:
        return f"{start}: {apart}{pairs}, no sign of a gain"
    return f"{start}: {apart}{pairs}, {chance}, {needed}"


def _apart(gain: float, error: float, step: float) -> str:
    if gain == 0:
        return "no difference"
    by = to_the_digit(abs(gain), step)
    return f"{'better' if gain > 0 else 'worse'} by {by}" + (f" ± {number(error)}" if error else "")
