"""States for the stop rules: a real run that has begun, with the values that a rule looks at put in."""

from typing import Any

import msgspec

from loopwright.kernel.history import Turn
from loopwright.kernel.loop import EvaluatePolicy, Metric, Source, StopRules
from loopwright.kernel.pending import advance
from loopwright.kernel.state import State
from loopwright.kernel.values import Budget
from support import worlds

METRIC = Metric("measure", "score", "max", min_effect=1.0)


def state_of(
    stop: StopRules | None = None,
    *,
    metric: Metric | None = None,
    observe: tuple[Source, ...] | None = None,
    rungs: int = 1,
    budget: Budget | None = None,
    **fields: Any,
) -> State:
    """`fields` are those of `State`; without a budget nothing is limited."""
    loop = worlds.loop(rungs=rungs, stop=stop, budget=budget or Budget())
    loop = msgspec.structs.replace(
        loop,
        budget=budget or Budget(),
        evaluate=EvaluatePolicy(metric=metric) if metric is not None else loop.evaluate,
        observe=loop.observe if observe is None else observe,
    )
    state, _ = advance(None, [worlds.started(loop)], 0, go_on=False)
    return msgspec.structs.replace(state, **fields)


def with_turns(state: State, turns: list[Turn]) -> State:
    """The state after these iterations, as the fold would have counted them."""
    keeps = [turn.iteration for turn in turns if turn.kept]
    return msgspec.structs.replace(
        state,
        turns=tuple(turns),
        iteration=turns[-1].iteration if turns else 0,
        kept=len(keeps),
        last_keep_iteration=keeps[-1] if keeps else 0,
    )


def turns_of(gains: list[float | None], *, usd_micros: int = 0, rung: int = 0) -> list[Turn]:
    """One iteration a gain; `None` = nothing was kept. No two did the same."""
    return [
        Turn(n, rung, gain is not None, gain, usd_micros=usd_micros, offered=1, signature=f"s{n}")
        for n, gain in enumerate(gains, 1)
    ]
