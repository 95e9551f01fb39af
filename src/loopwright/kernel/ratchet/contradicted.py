"""When the fresh runs of a kept state speak against the keep. Nothing is undone: a person reads it, and the claim counts it anyway."""

import math
from typing import Final

from loopwright.kernel.loop import Metric
from loopwright.kernel.ratchet.basis import confirm_runs, gain_between, noise, values
from loopwright.kernel.ratchet.record import Contradiction, Ratchet
from loopwright.kernel.ratchet.robust import less, student, winsorised
from loopwright.kernel.ratchet.words import number, to_the_digit

__all__ = ["contradicted", "contradiction"]

CLEAR_Z: Final = 3.0
"""Standard errors below the head before: chance does that after one keep in 700."""
Z_OF_STUDENT: Final = 1.959964
"""`student` gives the quantile of which this is the normal one."""
EQUAL_SDS: Final = 0.5
"""What a simplification may lose when the loop names no smallest effect, in standard deviations of one run."""


def contradicted(ratchet: Ratchet, metric: Metric) -> str | None:
    """One line on a keep whose fresh runs are clearly worse than the head before it: the current one, else the latest such; `None`
    when there was none. Runs of a head that are not all made yet say nothing."""
    found = contradiction(ratchet, metric)
    if found is None:
        return None
    which = f"the keep of {found.proposal_id}" if found.proposal_id is not None else f"keep {found.keep}"
    step = found.error or abs(found.loss)
    margin = f" ± {to_the_digit(found.error, step)}" if found.error else ""
    after = "" if found.keep == ratchet.kept else f" ({_later(ratchet.kept - found.keep)} since)"
    return (
        f"{metric.name}: {which} is contradicted by its own fresh runs: {to_the_digit(found.new, step)} "
        f"({_runs(found.new_runs)}) against {to_the_digit(found.old, step)} ({_runs(found.old_runs)}) of the head before, "
        f"worse by {to_the_digit(found.loss, step)}{margin}{_allowed(found)}{after}; nothing was undone: look at that commit"
    )


def contradiction(ratchet: Ratchet, metric: Metric) -> Contradiction | None:
    """Of the current head, else the latest one that is on record."""
    return _of_head(ratchet, metric) or ratchet.contradiction


def _of_head(ratchet: Ratchet, metric: Metric) -> Contradiction | None:
    previous = ratchet.previous
    if previous is None or not previous.values or not ratchet.confirm:
        return None
    if len(ratchet.confirm) < confirm_runs(ratchet, metric):
        return None
    known = noise(ratchet)
    fresh = values(ratchet.confirm)
    # The head's runs of the very trial that led to the keep are among those before; that they looked bad there is part of why it was
    # kept, so they speak against a contradiction and never for one.
    new, old = winsorised(fresh, known.sd), winsorised(previous.values, known.sd)
    error = known.sd * math.sqrt(1 / len(fresh) + 1 / len(previous.values)) if ratchet.noisy else 0.0
    loss = -gain_between(new, old, metric.goal)
    allowed = 0.0
    if previous.simpler:
        allowed = metric.min_effect if metric.min_effect is not None else EQUAL_SDS * known.sd
    clear = CLEAR_Z * student(max(1, known.dof)) / Z_OF_STUDENT * error if error else 0.0
    if less(loss, allowed) <= clear:
        return None
    return Contradiction(
        ratchet.kept, previous.proposal_id, new, len(fresh), old, len(previous.values), loss, error, allowed
    )


def _runs(count: int) -> str:
    return f"{count} run{'s' if count > 1 else ''}"


def _later(keeps: int) -> str:
    return f"{keeps} more keep{'s' if keeps > 1 else ''}"


def _allowed(found: Contradiction) -> str:
    return f", and a simplification may lose {number(found.allowed)}" if found.allowed else ""
