"""Ends by doubt: what is measured or judged can no longer be trusted to say what is better."""

from loopwright.kernel.ratchet import holdout_falls, hopeless
from loopwright.kernel.ratchet.trouble import base_unusable
from loopwright.kernel.state import Ending, State
from loopwright.kernel.stop.count import count

__all__ = ["asks_for_person", "drift", "noise"]


def drift(state: State) -> Ending | None:
    """The holdout fell in `stop.drift` keeps in a row while the metric rose (default 2): what is improved is no longer what is meant.

    The other half of drift, a diff outside the declared scope, needs no rule: such a proposal fails `scope` and can never be kept.
    """
    limit, metric = state.loop.stop.drift, state.loop.evaluate.metric
    if limit is None or metric is None or state.ratchet is None:
        return None
    falls = holdout_falls(state.ratchet, metric)
    if falls < max(limit, 1):
        return None
    return Ending("drift", f"the holdout fell in {count(falls, 'keep')} in a row while {metric.name} got better")


def noise(state: State) -> Ending | None:
    """The noise of the unchanged base swamps the difference that is asked for: said before the budget is burnt, with what it would cost
    to resolve it. A base that gives no number at all is no noise but a fault of the input (`cannot_observe`)."""
    metric = state.loop.evaluate.metric
    if metric is None or state.ratchet is None:
        return None
    why = hopeless(state.ratchet, metric)
    if why is None:
        return None
    return Ending("noise" if base_unusable(state.ratchet, metric) is None else "cannot_observe", why)


def asks_for_person(state: State) -> str | None:
    """The question for a person when the judges disagreed in `stop.disagreements` iterations in a row (default 2), else `None`.

    It asks rather than ends: two judges that contradict each other say that the goal is unclear, and only its author can say which one
    is right. The runtime asks it with `about="disagreement"`; who denies it ends the run.
    """
    limit = state.loop.stop.disagreements
    if limit is None or state.disagreements < max(limit, 1):
        return None
    return (
        f"The judges contradicted each other in {count(state.disagreements, 'iteration')} in a row. "
        "Approve to go on, deny to end the run."
    )
