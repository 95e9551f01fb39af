"""Hard caps: iterations, minutes, dollars, tokens. `None` is not limited, 0 is nothing left; no number means "unlimited".

The time of a single action is capped where it is commanded (`action_timeout_s`, and what is left of the minutes).
"""

from loopwright.kernel.loop import AgentRung, CliRung, CommandRung, Rung
from loopwright.kernel.state import Ending, State
from loopwright.kernel.stop.count import count
from loopwright.kernel.values import Spend

__all__ = ["iterations", "minutes", "money", "reserve_for"]


def reserve_for(rung: Rung) -> Spend:
    """What must be left in the budget before the rung is asked."""
    if isinstance(rung, CommandRung | AgentRung | CliRung):
        return rung.reserve
    return Spend()


def iterations(state: State) -> Ending | None:
    """As many iterations were begun as the loop allows."""
    limit = state.budget.iterations
    if limit is not None and state.iteration >= limit:
        return Ending("iterations", f"{count(state.iteration, 'iteration')} of {limit} used")
    return None


def minutes(state: State) -> Ending | None:
    """The active time of the run is used up; pauses and crashes do not count."""
    limit = state.budget.wall_ms
    if limit is not None and state.active_ms >= limit:
        return Ending("minutes", f"{state.active_ms / 60_000:.1f} of {limit / 60_000:.1f} minutes used")
    return None


def money(state: State) -> Ending | None:
    """Dollars or tokens are used up, or what is left cannot cover what the next rung reserves.

    `remaining()` counts what every action and every tool call cost, judges and retries included, and what is in flight at its reserve.
    """
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
