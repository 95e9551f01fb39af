"""No keep for so long that another one is not to be expected."""

import math
from typing import Final

from loopwright.kernel.state import Ending, State
from loopwright.kernel.stop.count import count

__all__ = ["FLOOR", "patience", "plateau"]

ERROR: Final = 0.05
PRIOR_KEEPS: Final = 1.0
PRIOR_MISSES: Final = 12.0
FLOOR: Final = 10


def plateau(state: State) -> Ending | None:
    """No keep in `stop.plateau` iterations in a row; with `auto` (the default) in `patience(...)` of them.

    With `auto` a rung that took over has its own patience: the dry iterations of the rungs below it say nothing about it.
    """
    limit = state.loop.stop.plateau
    if limit is None:
        return None
    since = state.iteration - state.last_keep_iteration
    if limit != "auto":
        return Ending("plateau", f"no keep in {count(since, 'iteration')}") if since >= limit else None
    dry = min(since, _of_this_rung(state))
    needed = patience(state.kept, state.last_keep_iteration)
    if dry < needed:
        return None
    rate = f"{state.kept} in {count(state.last_keep_iteration, 'iteration')}" if state.kept else "none yet"
    return Ending(
        "plateau",
        f"no keep in {count(dry, 'iteration')}; with the run's own rate of keeps ({rate}) {needed} are enough",
    )


def patience(kept: int, iterations: int) -> int:
    """P = ⌈ln(.05 / (kept + 1)) / ln(1 − p)⌉, and at least 10, with p = (kept + 1) / (iterations + 13): how many iterations without a
    keep have a chance below 5 % when keeps still come at the rate p that the run has shown up to its last keep.

    `iterations`: those up to the last keep. The dry ones after it must not lower p, else patience would grow as fast as the drought.
    The prior is one keep in 13 iterations (P = 38 before the first keep). A run with `kept` keeps has had that many droughts before
    this one and each could have ended it, so the 5 % are shared between them: without that a steady run ends by chance
    (docs/design/023-stop-rules.md).

    Source: the waiting time of a geometric distribution, P = ⌈ln .05 / ln(1−p)⌉, which this is before the first keep.
    """
    p = (kept + PRIOR_KEEPS) / (iterations + PRIOR_KEEPS + PRIOR_MISSES)
    return max(FLOOR, math.ceil(math.log(ERROR / (kept + 1)) / math.log1p(-p)))


def _of_this_rung(state: State) -> int:
    """How many of the last iterations in a row were the present rung's."""
    number = 0
    for turn in reversed(state.turns):
        if turn.rung != state.rung:
            return number
        number += 1
    return max(number, state.iteration)
