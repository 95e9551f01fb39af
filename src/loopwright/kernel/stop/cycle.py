"""The run goes in circles."""

from collections.abc import Sequence
from typing import Final

from loopwright.kernel.loop import Loop, TextSource
from loopwright.kernel.state import Ending, State

__all__ = ["LONGEST_PERIOD", "cycle", "period_of", "polls"]

LONGEST_PERIOD: Final = 3


def cycle(state: State) -> Ending | None:
    """Either of two, `stop.cycle` times (default 3): a rung offered only edits that were judged before, that many times in a row; or the
    iterations' signatures (what was seen and what was proposed) repeat with a period of at most 3: a a a, ab ab ab, abc abc abc.

    The second catches what the first forgets (it remembers the last 512 edits) or was told to judge again. An iteration that proposed
    nothing has no signature and is in no circle, and a loop that declares a poll (a `schedule` or `http` source) is expected to see and
    do the same for long: there only the first one holds. A trigger is no poll: what it fires is a run of its own.
    """
    limit = state.loop.stop.cycle
    if limit is None:
        return None
    if state.repeats >= max(limit, 1):
        return Ending("cycle", f"{state.repeats} times in a row only edits that were judged before")
    if polls(state.loop):
        return None
    period = period_of([turn.signature for turn in state.turns[-LONGEST_PERIOD * max(limit, 1) :]], limit)
    if period is None:
        return None
    what = "iteration was the same" if period == 1 else f"{period} iterations were the same"
    return Ending("cycle", f"{limit} times in a row the {what}: what was seen and what was proposed")


def polls(loop: Loop) -> bool:
    """The loop declares that it looks at something that need not have changed."""
    return any(isinstance(source, TextSource) and source.of in ("schedule", "http") for source in loop.observe)


def period_of(signatures: Sequence[str], times: int) -> int | None:
    """The shortest period, at most 3, with which the last signatures repeat `times` times; `None` when they do not.

    Fewer than two times is no repetition. An empty signature equals none.
    """
    times = max(times, 2)
    for period in range(1, LONGEST_PERIOD + 1):
        last = signatures[-period * times :]
        if len(last) == period * times and all(last) and all(a == b for a, b in zip(last, last[period:], strict=False)):
            return period
    return None
