"""Another iteration brings less than it costs, or a small part of what one used to bring."""

from collections.abc import Callable, Sequence
from typing import Final

from loopwright.kernel.history import Turn
from loopwright.kernel.state import Ending, State

__all__ = ["FADED", "balance_usd_micros", "diminishing", "faded", "pays"]

DISCOUNT: Final = 0.98
CREDIT_ITERATIONS: Final = 70.0
RECENT: Final = 0.93
FADED: Final = 0.1
FADED_FLOOR: Final = 30
FADED_KEEPS: Final = 5


def diminishing(state: State) -> Ending | None:
    """Diminishing returns, by two measures.

    With `stop.worth_usd_micros` (what a unit of the metric is worth): the discounted net value of the run so far is below zero
    (`balance_usd_micros`). Only dollars are a cost here. Time has no price that the runtime knows; where an iteration costs no dollars
    the rule stays off, and `minutes` bounds the time.

    With `stop.plateau: auto` (the default), worth or none, in metric loops: the gains have faded (`faded`), and where their worth is
    known the last ones do not pay either (`pays`). A loop that makes tests pass is left alone: its last test is worth as much as all.
    """
    rules = state.loop.stop
    worth = rules.worth_usd_micros
    if worth is not None and (balance := balance_usd_micros(state.turns, worth)) < 0:
        return Ending(
            "diminishing",
            f"what an iteration brings is worth less than it costs: ${-balance / 1e6:.4f} short over the last ones (discount {DISCOUNT})",
        )
    if rules.plateau != "auto" or state.loop.evaluate.metric is None or not faded(state.turns):
        return None
    if worth is not None and pays(state.turns, worth):
        return None
    return Ending(
        "diminishing", f"the last iterations brought less than {FADED:.0%} of what an iteration of this run brought"
    )


def balance_usd_micros(turns: Sequence[Turn], worth_usd_micros: float) -> float:
    """Σ .98^age · (gain · worth − cost), plus a credit that fades at the same rate: .98^n · 70 · the mean cost of an iteration.

    The definition is: stop when the discounted gain times worth per iteration is less than the discounted cost per iteration. Without a
    credit every run would end with its first iteration that brings nothing; with it a run that never brings anything ends after 44,
    and one that pays never notices it. 0 and more when no iteration cost any dollars.

    Source: the only family of rules that was never badly wrong in the simulated worlds (bench/stop_rules.py).
    """
    if not turns:
        return 0.0
    balance = 0.0
    for turn in turns:
        balance = balance * DISCOUNT + (_gain(turn) * worth_usd_micros - turn.usd_micros)
    cost = sum(turn.usd_micros for turn in turns)
    if cost == 0:
        return 0.0
    return balance + DISCOUNT ** turns[-1].iteration * CREDIT_ITERATIONS * cost / len(turns)


def faded(turns: Sequence[Turn]) -> bool:
    """The discounted (.93: about the last 14 iterations) gain per iteration is below a tenth of the mean gain per iteration, over at
    least 30 iterations and 5 keeps: fewer are no trend, and rare big gains look like one that has ended.

    It needs no worth: whoever began the run held its mean iteration to be worth its cost; a tenth of it rarely is. In a run whose gains
    keep coming at one rate it almost never holds (about 5 droughts of the mean length are needed).
    """
    if not turns or turns[-1].iteration < FADED_FLOOR or len([t for t in turns if t.kept]) < FADED_KEEPS:
        return False
    mean = sum(map(_gain, turns)) / len(turns)
    return mean > 0 and _recent(turns, _gain) < FADED * mean


def pays(turns: Sequence[Turn], worth_usd_micros: float) -> bool:
    """The recent gains are worth at least what the recent iterations cost in dollars."""
    return _recent(turns, _gain) * worth_usd_micros >= _recent(turns, lambda turn: float(turn.usd_micros))


def _gain(turn: Turn) -> float:
    return turn.gain if turn.kept and turn.gain is not None else 0.0


def _recent(turns: Sequence[Turn], of: Callable[[Turn], float]) -> float:
    """The discounted mean over the turns."""
    total = weight = 0.0
    for turn in turns:
        total = total * RECENT + of(turn)
        weight = weight * RECENT + 1.0
    return total / weight if weight else 0.0
