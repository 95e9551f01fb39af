"""How the current trial stands: decided, or which run it needs next. The one place where measurements become an answer.

1. A failed run of the candidate ends it.
2. Without noise one run decides.
3. Else the first run only screens: it must beat the mean of the head's latest runs, or no pair is spent.
4. Pairs follow, head and candidate taking turns to go first, so that a drift of the machine cancels. They end when the evidence
   reaches the level that the run's account allows, when a gain worth having has become unlikely, or when the pairs are used up.
5. What would be kept must hold the bounds; what is no gain may still be a simplification.
"""

import math
from dataclasses import dataclass
from typing import Final, Literal

from loopwright.kernel.loop import Metric
from loopwright.kernel.ratchet.account import level
from loopwright.kernel.ratchet.basis import gain_between, mean_of, noise, values
from loopwright.kernel.ratchet.bounds import BoundReading, read_bounds
from loopwright.kernel.ratchet.evidence import chance_of_sum, log_evidence, log_likelihood
from loopwright.kernel.ratchet.record import Ratchet, Slip, Trial
from loopwright.kernel.ratchet.robust import pooled, spread, winsorised
from loopwright.kernel.values import Proposal

__all__ = ["Answer", "Standing", "simplifies", "standing_of"]

Answer = Literal["better", "simpler", "not_better", "too_small", "out_of_bounds", "crash", "inconclusive"]

BETS_SDS: Final = (0.6, 1.2, 2.4)
"""Gains that are bet on when the loop names no smallest one, in standard deviations of one run."""
BETS_EFFECTS: Final = (1.0, 2.0, 4.0)
"""The same in smallest effects, when it does."""
WORTH_SDS: Final = 1.0
"""The gain that is given up as unlikely, in standard deviations, when the loop names no smallest one."""
GIVE_UP: Final = 1.6
"""Log-likelihood ratio against a gain worth having at which a trial is given up: it loses one such gain in five at most."""
EARLY: Final = 0.25
"""Share of the level that the evidence may use before the last pair; the rest is kept for the exact test on all pairs."""
EQUAL_SDS: Final = 0.5
"""What counts as equal when the loop names no smallest effect, in standard deviations of one run."""
EQUAL_Z: Final = 2.3
HEAD_FAILURES: Final = 2
"""A head that fails more often than this beside a candidate leaves the trial without an answer."""


@dataclass(frozen=True, slots=True)
class Standing:
    """`needs` is there exactly when `answer` is not. `gain` and `error` are of the candidate over the head, larger = better, in the
    metric's unit; `None` before there is anything to compare. `evidence`: the e-value that the trial stands at, `needed` the one it has
    to reach. `slip`: what simplifications may have cost in all once this one is kept."""

    answer: Answer | None
    needs: Literal["candidate", "head"] | None = None
    pairs: int = 0
    gain: float | None = None
    error: float = 0.0
    evidence: float = 1.0
    strongest: float = 1.0
    needed: float = 1.0
    slip: Slip = Slip()
    bound: BoundReading | None = None


def simplifies(proposal: Proposal, metric: Metric) -> bool:
    """It takes more lines away than it adds, and the loop wants that."""
    if not metric.simpler or proposal.added_lines is None or proposal.removed_lines is None:
        return False
    return proposal.removed_lines > proposal.added_lines


def standing_of(ratchet: Ratchet, metric: Metric, trial: Trial | None, *, simpler: bool) -> Standing:
    """`simpler`: the proposal would also be kept when it only is as good as the head."""
    if trial is None:
        return Standing(None, "candidate")
    if trial.failure is not None:
        return Standing("crash")
    if trial.screen is None:
        return Standing(None, "candidate")
    if not trial.heads and not ratchet.fresh:
        return _ask(trial, Standing(None, "head"))
    if not ratchet.noisy:
        return _exact(ratchet, metric, trial, simpler=simpler)
    return _noisy(ratchet, metric, trial, simpler=simpler)


def _exact(ratchet: Ratchet, metric: Metric, trial: Trial, *, simpler: bool) -> Standing:
    assert trial.screen is not None
    gain = gain_between(trial.screen.value, mean_of(ratchet.fresh or trial.heads), metric.goal)
    slip = Slip(ratchet.slip.total + gain, ratchet.slip.error)
    smallest = metric.min_effect or 0.0
    answer: Answer = "not_better"
    if gain > 0 and gain >= smallest:
        answer = "better"
    elif simpler and slip.total >= -smallest and (smallest > 0 or gain >= 0):
        answer = "simpler"
    elif gain > 0:
        answer = "too_small"
    standing = Standing(answer, None, 0, gain, slip=slip)
    return _bounded(ratchet, metric, trial, standing) if answer in ("better", "simpler") else standing


def _noisy(ratchet: Ratchet, metric: Metric, trial: Trial, *, simpler: bool) -> Standing:
    sd = noise(ratchet).sd
    pairs = min(len(trial.candidates), len(trial.heads))
    if not trial.candidates and not trial.heads:
        assert trial.screen is not None
        first = gain_between(trial.screen.value, mean_of(ratchet.fresh), metric.goal)
        error = sd * math.sqrt(1 + 1 / len(ratchet.fresh))
        standing = Standing("not_better", None, 0, first, error)
        if first < 0 or (first == 0 and not simpler):
            return standing
        broken = next((b for b in read_bounds(ratchet, metric, trial) if b.state == "broken"), None)
        if broken is not None:
            return Standing("out_of_bounds", None, 0, first, error, bound=broken)
    differences = [
        gain_between(one, other, metric.goal)
        for one, other in zip(values(trial.candidates), values(trial.heads), strict=False)
    ]
    smallest = metric.min_effect
    bets = [max(bet * smallest, 0.3 * sd) for bet in BETS_EFFECTS] if smallest else [bet * sd for bet in BETS_SDS]
    now, best = log_evidence(differences, sd, [min(bet, 4 * sd) for bet in bets])
    allowed = level(ratchet.account, metric)
    needed = -math.log(EARLY * allowed) if allowed > 0 else math.inf
    pair_sd = sd * math.sqrt(2)
    gain = winsorised(differences, pair_sd) if differences else None
    own = pooled(pair_sd, 8, spread(differences, pair_sd), max(0, pairs - 1))
    error = own / math.sqrt(pairs) if pairs else pair_sd
    slip = Slip(ratchet.slip.total + (gain or 0.0), math.hypot(ratchet.slip.error, error))
    standing = Standing(None, None, pairs, gain, error, _exp(now), _exp(best), _exp(needed), slip)
    if trial.head_failures > HEAD_FAILURES:
        return _answered(standing, "inconclusive")
    if pairs == 0 or len(trial.candidates) != len(trial.heads):
        return _ask(trial, standing)
    assert gain is not None
    left = metric.pairs - pairs
    broken = next((b for b in read_bounds(ratchet, metric, trial) if b.state == "broken"), None)
    if broken is not None:
        return _answered(standing, "out_of_bounds", broken)
    late = left <= 0 and chance_of_sum(differences, sd) <= (1 - EARLY) * allowed
    if best >= needed or late:
        if smallest is None or gain + error >= smallest:
            return _bounded(ratchet, metric, trial, _answered(standing, "better"))
        return _or_simpler(ratchet, metric, trial, _answered(standing, "too_small"), sd, left, simpler=simpler)
    clipped = [max(-3 * pair_sd, min(3 * pair_sd, difference)) for difference in differences]
    worthwhile = smallest if smallest else WORTH_SDS * sd
    hopeless = log_likelihood(clipped, sd, worthwhile) <= -GIVE_UP
    if left <= 0 or hopeless:
        return _or_simpler(ratchet, metric, trial, _answered(standing, "not_better"), sd, left, simpler=simpler)
    return _ask(trial, standing)


def _or_simpler(
    ratchet: Ratchet, metric: Metric, trial: Trial, otherwise: Standing, sd: float, left: int, *, simpler: bool
) -> Standing:
    """Equal is decided once, when all pairs are there: looking again and again would find it sooner or later."""
    if not simpler:
        return otherwise
    margin = metric.min_effect or EQUAL_SDS * sd
    slip = otherwise.slip
    if left <= 0:
        if slip.total - EQUAL_Z * slip.error > -margin:
            return _bounded(ratchet, metric, trial, _answered(otherwise, "simpler"))
        return otherwise
    # Would the remaining pairs of an equal candidate still get there, with luck that one in ten has?
    pair_sd = sd * math.sqrt(2)
    final_error = math.hypot(ratchet.slip.error, pair_sd / math.sqrt(metric.pairs))
    wanted = -margin + EQUAL_Z * final_error - ratchet.slip.total
    sure = (otherwise.gain or 0.0) * otherwise.pairs / metric.pairs
    luck = 1.3 * pair_sd * math.sqrt(left) / metric.pairs
    return _ask(trial, otherwise) if sure + luck > wanted else otherwise


def _bounded(ratchet: Ratchet, metric: Metric, trial: Trial, standing: Standing) -> Standing:
    """`standing` would pass: do the bounds hold as well?"""
    readings = read_bounds(ratchet, metric, trial)
    broken = next((b for b in readings if b.state == "broken"), None)
    if broken is not None:
        return _answered(standing, "out_of_bounds", broken)
    close = next((b for b in readings if b.state == "close"), None)
    if close is None:
        return standing
    if min(len(trial.candidates), len(trial.heads)) < metric.pairs:
        if trial.head_failures > HEAD_FAILURES:
            return _answered(standing, "inconclusive")
        return _ask(trial, standing)
    return _answered(standing, "out_of_bounds", close) if close.worse > close.worse_by else standing


def _ask(trial: Trial, standing: Standing) -> Standing:
    candidates, heads = len(trial.candidates), len(trial.heads)
    if candidates == heads:
        needs: Literal["candidate", "head"] = "head" if candidates % 2 == 0 else "candidate"
    else:
        needs = "candidate" if candidates < heads else "head"
    if needs == "head" and trial.head_failures > HEAD_FAILURES:
        return _answered(standing, "inconclusive")
    return Standing(
        None,
        needs,
        standing.pairs,
        standing.gain,
        standing.error,
        standing.evidence,
        standing.strongest,
        standing.needed,
        standing.slip,
    )


def _answered(standing: Standing, answer: Answer, bound: BoundReading | None = None) -> Standing:
    return Standing(
        answer,
        None,
        standing.pairs,
        standing.gain,
        standing.error,
        standing.evidence,
        standing.strongest,
        standing.needed,
        standing.slip,
        bound,
    )


def _exp(log_value: float) -> float:
    return math.exp(min(700.0, log_value))
