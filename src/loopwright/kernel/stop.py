"""When a run ends. Pure: every rule reads the state alone, so that a replay ends at the same event.

Order matters: the goal is looked at before any limit, so that reaching it on the last allowed iteration is success.
"""

from collections.abc import Callable
from typing import Final

from loopwright.kernel.loop import AgentRung, CliRung, CommandRung, Rung
from loopwright.kernel.state import Ending, State
from loopwright.kernel.values import Spend, StopReason

__all__ = ["EXIT_CODES", "check", "reserve_for"]

EXIT_CODES: Final[dict[StopReason, int]] = {
    "goal": 0,
    "nothing_to_do": 0,
    "iterations": 4,
    "minutes": 4,
    "usd": 4,
    "tokens": 4,
    "plateau": 5,
    "cycle": 5,
    "repeated_error": 5,
    "exhausted": 5,
    "error_rate": 1,
    "cannot_observe": 2,
    "failed": 1,
    "impossible": 1,
    "refused": 6,
    "integrity": 7,
    "stopped": 130,
}

REPEATS_FOR_CYCLE: Final = 3
MARKS_FOR_RATE: Final = 10


def reserve_for(rung: Rung) -> Spend:
    """What must be left in the budget before the rung is asked."""
    if isinstance(rung, CommandRung | AgentRung | CliRung):
        return rung.reserve
    return Spend()


def check(state: State, *, begun: bool = False) -> Ending | None:
    """The first rule that ends the run now; asked between iterations, and with `begun` before an iteration that was planned acts:
    it counts already, and only what can run out while it acts is looked at again."""
    for rule in _RULES:
        if begun and rule in _BETWEEN:
            continue
        ending = rule(state)
        if ending is not None:
            return ending
    return None


def goal(state: State) -> Ending | None:
    """The verifiers pass on the head, in a cold and clean checkout that the runtime made itself."""
    if not state.goal_met:
        return None
    if state.kept == 0:
        return Ending("nothing_to_do", "the goal is met before anything was tried")
    return Ending("goal", f"the goal is met after {_count(state.iteration, 'iteration')}, {state.kept} kept")


def person(state: State) -> Ending | None:
    """Somebody asked for the end: a person, or the runtime itself for integrity."""
    return Ending(state.stop_reason, state.stop_requested) if state.stop_requested is not None else None


def agreed_impossible(state: State) -> Ending | None:
    """A proposer said that the goal cannot be met, and a person agreed."""
    return Ending("impossible", state.impossible or "") if state.impossible_agreed else None


def iterations(state: State) -> Ending | None:
    """As many iterations were begun as the loop allows."""
    limit = state.budget.iterations
    if limit is not None and state.iteration >= limit:
        return Ending("iterations", f"{_count(state.iteration, 'iteration')} of {limit} used")
    return None


def minutes(state: State) -> Ending | None:
    """The active time of the run is used up; pauses and crashes do not count."""
    limit = state.budget.wall_ms
    if limit is not None and state.active_ms >= limit:
        return Ending("minutes", f"{state.active_ms / 60_000:.1f} of {limit / 60_000:.1f} minutes used")
    return None


def money(state: State) -> Ending | None:
    """Dollars or tokens are used up, or what is left cannot cover what the next rung reserves."""
    if not state.loop.act or (state.budget.usd_micros is None and state.budget.tokens is None):
        return None
    reserve = reserve_for(state.loop.act[state.rung])
    match state.remaining().short_of(reserve):
        case "usd":
            left = state.remaining().usd_micros or 0
            return Ending("usd", f"${left / 1e6:.4f} left, the next step reserves ${reserve.usd_micros / 1e6:.4f}")
        case "tokens":
            left = state.remaining().tokens or 0
            return Ending("tokens", f"{left} tokens left, the next step reserves {reserve.tokens}")
        case None:
            return None


def repeated_error(state: State) -> Ending | None:
    """The same error signature in the last `stop.repeated_error` actions of its beat (default 3)."""
    limit = state.loop.stop.repeated_error
    if limit is None or len(state.marks) < limit:
        return None
    last = state.marks[-limit:]
    if last[0].status != "ok" and all(mark.same_as(last[0]) for mark in last):
        return Ending("repeated_error", f"{limit} times in a row: {last[-1].message}")
    return None


def error_rate(state: State) -> Ending | None:
    """More than `stop.error_rate` of the last 10 actions failed (default one half)."""
    limit = state.loop.stop.error_rate
    if limit is None or len(state.marks) < MARKS_FOR_RATE:
        return None
    failed = len([mark for mark in state.marks if mark.status != "ok"])
    if failed > limit * len(state.marks):
        return Ending("error_rate", f"{failed} of the last {len(state.marks)} actions failed")
    return None


def cycle(state: State) -> Ending | None:
    """Three times in a row a rung offered only edits that were judged before."""
    if state.repeats >= REPEATS_FOR_CYCLE:
        return Ending("cycle", f"{state.repeats} times in a row only edits that were judged before")
    return None


def plateau(state: State) -> Ending | None:
    """No keep in `stop.plateau` iterations (off by default)."""
    limit = state.loop.stop.plateau
    since = state.iteration - state.last_keep_iteration
    if limit is not None and since >= limit:
        return Ending("plateau", f"no keep in {_count(since, 'iteration')}")
    return None


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


_RULES: Final[tuple[Callable[[State], Ending | None], ...]] = (
    goal,
    person,
    agreed_impossible,
    iterations,
    minutes,
    money,
    repeated_error,
    error_rate,
    cycle,
    plateau,
)

# Rules about whole iterations: the one that is planned may still act.
_BETWEEN: Final = frozenset({iterations, plateau})
