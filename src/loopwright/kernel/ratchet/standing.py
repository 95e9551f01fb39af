"""How the current trial stands: decided, or which run it needs next. The one place where measurements become an answer.

1. A failed run of the candidate ends it.
2. Without noise one run decides.
3. Else the first run only screens: it must beat the mean of the head's latest runs, or no pair is spent.
4. Pairs follow, head and candidate taking turns to go first, so that a drift of the machine cancels. They end when the evidence
   reaches the level that the run's account allows, when a gain worth having has become unlikely, or when the pairs are used up.
5. What would be kept must hold the bounds; what is no gain may still be a simplification.
"""

import math
from dataclasses import dataclass, replace
from typing import Final, Literal

from loopwright.kernel.loop import Metric
from loopwright.kernel.ratchet.account import level
from loopwright.kernel.ratchet.basis import gain_between, mean_of, noise, values
from loopwright.kernel.ratchet.bounds import BoundReading, read_bounds
from loopwright.kernel.ratchet.evidence import chance_of_sum, evidence, log_likelihood
from loopwright.kernel.ratchet.record import Ratchet, Slip, Trial
from loopwright.kernel.ratchet.robust import clipped, pooled, spread, winsorised
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
EARLY: Final = 0.35
"""Share of the level that the evidence may use before the last pair; the rest is kept for the exact test on all pairs."""
EQUAL_SDS: Final = 0.5
"""What counts as equal when the loop names no smallest effect, in standard deviations of one run."""
EQUAL_Z: Final = 2.0
"""One in forty. By simulation with 30 % simplifications 1 % of keeps are harmful; it was 6 % at 1.6 with credit for good looks."""
LUCK_Z: Final = 1.3
LEAST_BET_SDS: Final = 0.3
MOST_BET_SDS: Final = 4.0
PRIOR_DOF: Final = 8
ROOT_OF_TWO: Final = 2**0.5
HEAD_FAILURES: Final = 2
"""A head that fails more often than this beside a candidate leaves the trial without an answer."""


@dataclass(frozen=True, slots=True)
class Standing:
    """`needs` is there exactly when `answer` is not. `gain` and `error` are of the candidate over the head, larger = better, in the
    metric's unit; `None` before there is anything to compare. Chance alone gets this far in one of `odds` trials, `needed` of them
    being asked for. `slip`: what simplifications may have cost in all once this one is kept."""

    answer: Answer | None
    needs: Literal["candidate", "head"] | None = None
    pairs: int = 0
    gain: float | None = None
    error: float = 0.0
    odds: float = 1.0
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
    slip = Slip(ratchet.slip.total + min(0.0, gain), ratchet.slip.error)
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
    if not trial.candidates and not trial.heads:
        turned_down = _screened(ratchet, metric, trial, sd, simpler=simpler)
        if turned_down is not None:
            return turned_down
    differences = [
        gain_between(one, other, metric.goal)
        for one, other in zip(values(trial.candidates), values(trial.heads), strict=False)
    ]
    standing = _weighed(ratchet, metric, differences)
    pairs, left = len(differences), metric.pairs - len(differences)
    if pairs == 0 or len(trial.candidates) != len(trial.heads):
        return _ask(trial, standing)
    broken = _broken(ratchet, metric, trial)
    if broken is not None:
        return replace(standing, answer="out_of_bounds", bound=broken)
    assert standing.gain is not None
    if standing.odds >= standing.needed:
        if metric.min_effect is None or standing.gain + standing.error >= metric.min_effect:
            return _bounded(ratchet, metric, trial, replace(standing, answer="better"))
        return _or_simpler(ratchet, metric, trial, replace(standing, answer="too_small"), sd, simpler=simpler)
    usual = [clipped(difference, 3 * sd * ROOT_OF_TWO) for difference in differences]
    if left <= 0 or log_likelihood(usual, sd, metric.min_effect or WORTH_SDS * sd) <= -GIVE_UP:
        return _or_simpler(ratchet, metric, trial, replace(standing, answer="not_better"), sd, simpler=simpler)
    return _ask(trial, standing)


def _screened(ratchet: Ratchet, metric: Metric, trial: Trial, sd: float, *, simpler: bool) -> Standing | None:
    """The answer when the first run already says that pairs would be wasted."""
    assert trial.screen is not None
    gain = gain_between(trial.screen.value, mean_of(ratchet.fresh), metric.goal)
    standing = Standing("not_better", None, 0, gain, sd * math.sqrt(1 + 1 / len(ratchet.fresh)))
    if gain < min(0.0, _equal_from(ratchet, metric, sd)) if simpler else gain <= 0:
        return standing
    broken = _broken(ratchet, metric, trial)
    return None if broken is None else replace(standing, answer="out_of_bounds", bound=broken)


def _weighed(ratchet: Ratchet, metric: Metric, differences: list[float]) -> Standing:
    """Gain, error and odds of the pairs so far. The level of the test is shared between the evidence, which may be looked at after every
    pair, and the exact test, which is looked at once: on its last pair it sees gains a quarter smaller than evidence alone would."""
    pairs, smallest = len(differences), metric.min_effect
    known = noise(ratchet)
    sd = known.sd
    allowed = level(ratchet.account, metric)
    if smallest:
        bets = [clipped(max(bet * smallest, LEAST_BET_SDS * sd), MOST_BET_SDS * sd) for bet in BETS_EFFECTS]
    else:
        bets = [bet * sd for bet in BETS_SDS]
    odds, share = evidence(differences, known, bets), EARLY
    if pairs >= metric.pairs and odds * EARLY * allowed < 1:
        odds, share = 1 / chance_of_sum(differences, sd), 1 - EARLY
    needed = 1 / (share * allowed) if share * allowed > 1e-300 else math.inf
    pair_sd = sd * ROOT_OF_TWO
    gain = winsorised(differences, pair_sd) if differences else None
    # A candidate may be noisier than what is known: its own pairs have a say in the error that is shown.
    own = pooled(pair_sd, PRIOR_DOF, spread(differences, pair_sd), max(0, pairs - 1))
    error = own / math.sqrt(pairs) if pairs else pair_sd
    slip = Slip(ratchet.slip.total + min(0.0, gain or 0.0), math.hypot(ratchet.slip.error, error))
    return Standing(None, None, pairs, gain, error, odds, needed, slip)


def _or_simpler(
    ratchet: Ratchet, metric: Metric, trial: Trial, otherwise: Standing, sd: float, *, simpler: bool
) -> Standing:
    """Equal is decided once, when all pairs are there: looking again and again would find it sooner or later.

    It is the sum of all simplifications since the last real gain that must be equal, so that many small losses find no way in. One that
    looked better gives the next ones no credit: it was chosen among many for looking well.
    """
    if not simpler:
        return otherwise
    left = metric.pairs - otherwise.pairs
    if left <= 0:
        if (otherwise.gain or 0.0) >= _equal_from(ratchet, metric, sd):
            return _bounded(ratchet, metric, trial, replace(otherwise, answer="simpler"))
        return otherwise
    # Would the remaining pairs of an equal candidate still get there, with the luck that one in ten has?
    sure = (otherwise.gain or 0.0) * (otherwise.pairs / metric.pairs)
    luck = LUCK_Z * sd * ROOT_OF_TWO * math.sqrt(left) / metric.pairs
    return _ask(trial, otherwise) if sure + luck > _equal_from(ratchet, metric, sd) else otherwise


def _equal_from(ratchet: Ratchet, metric: Metric, sd: float) -> float:
    """The mean of all pairs from which on a simplification is as good as the head; negative where the margin is wider than the noise."""
    error = math.hypot(ratchet.slip.error, sd * ROOT_OF_TWO / math.sqrt(max(1, metric.pairs)))
    return EQUAL_Z * error - (metric.min_effect or EQUAL_SDS * sd) - ratchet.slip.total


def _bounded(ratchet: Ratchet, metric: Metric, trial: Trial, standing: Standing) -> Standing:
    """`standing` would pass: do the bounds hold as well? When the noise does not tell, more pairs do, and the mean in the end."""
    broken = _broken(ratchet, metric, trial)
    if broken is not None:
        return replace(standing, answer="out_of_bounds", bound=broken)
    close = [reading for reading in read_bounds(ratchet, metric, trial) if reading.state == "close"]
    if not close:
        return standing
    if min(len(trial.candidates), len(trial.heads)) < metric.pairs:
        return _ask(trial, standing)
    over = next((reading for reading in close if reading.worse > reading.worse_by), None)
    return standing if over is None else replace(standing, answer="out_of_bounds", bound=over)


def _broken(ratchet: Ratchet, metric: Metric, trial: Trial) -> BoundReading | None:
    return next((reading for reading in read_bounds(ratchet, metric, trial) if reading.state == "broken"), None)


def _ask(trial: Trial, standing: Standing) -> Standing:
    """The next run of a pair. Who goes first changes with every pair."""
    candidates, heads = len(trial.candidates), len(trial.heads)
    head_first = candidates % 2 == 0 if candidates == heads else heads < candidates
    if not head_first:
        return replace(standing, answer=None, needs="candidate")
    if trial.head_failures > HEAD_FAILURES:
        return replace(standing, answer="inconclusive")
    return replace(standing, answer=None, needs="head")
