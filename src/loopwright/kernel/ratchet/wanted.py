"""What to measure next. Every question here ends after a number of runs that the metric bounds, failing ones included."""

from typing import Final, Literal

from loopwright.kernel.loop import Metric
from loopwright.kernel.ratchet.basis import calibration, confirm_runs, settled_on_base
from loopwright.kernel.ratchet.holdout import holdout_complete
from loopwright.kernel.ratchet.record import Ratchet
from loopwright.kernel.ratchet.standing import simplifies, standing_of
from loopwright.kernel.ratchet.trouble import base_unusable
from loopwright.kernel.values import Proposal

__all__ = ["final_pairs", "wanted_of_end", "wanted_of_head", "wanted_of_trial"]

FAILURES: Final = 2
"""Failing runs of a head, or of the final comparison, that are made up for by further ones."""


def wanted_of_head(ratchet: Ratchet, metric: Metric) -> Literal["calibrate", "confirm", "holdout"] | None:
    """What to measure before the next proposal is asked for; `None` = enough is known, or it is `hopeless`."""
    if base_unusable(ratchet, metric) is not None:
        return None
    if not settled_on_base(ratchet, metric):
        return "calibrate"
    failed = len(ratchet.confirm_failures) > FAILURES
    if ratchet.kept and not failed and len(ratchet.confirm) < confirm_runs(ratchet, metric):
        return "confirm"
    if not holdout_complete(ratchet, metric):
        return "holdout"
    return None


def wanted_of_trial(ratchet: Ratchet, metric: Metric, proposal: Proposal) -> Literal["candidate", "head"] | None:
    """The next run of the proposal's trial; `None` = it can be weighed."""
    trial = ratchet.trial
    if trial is not None and trial.proposal_id != proposal.id:
        trial = None
    return standing_of(ratchet, metric, trial, simpler=simplifies(proposal, metric)).needs


def wanted_of_end(ratchet: Ratchet, metric: Metric) -> Literal["base", "head"] | None:
    """The next run of the final comparison, base and head in turn; `None` = done, or there is nothing to compare."""
    if not ratchet.kept or not ratchet.noisy or ratchet.head_tree in (None, ratchet.base_tree):
        return None
    if ratchet.final_failures > FAILURES:
        return None
    bases, heads = len(ratchet.final_base), len(ratchet.final_head)
    if bases != heads:
        return "base" if bases < heads else "head"
    if bases >= final_pairs(metric):
        return None
    return "base" if bases % 2 == 0 else "head"


def final_pairs(metric: Metric) -> int:
    """Pairs of base and head at the end; they are what the claim of the run rests on."""
    return max(calibration(metric), metric.pairs // 2)
