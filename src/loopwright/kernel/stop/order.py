"""The rules in their order: what is reached, what somebody said, what is used up, what cannot be trusted, what fails, what stands still."""

from collections.abc import Callable
from typing import Final

from loopwright.kernel.state import Ending, State
from loopwright.kernel.stop.caps import iterations, minutes, money
from loopwright.kernel.stop.cycle import cycle
from loopwright.kernel.stop.diminishing import diminishing
from loopwright.kernel.stop.faults import error_rate, repeated_error
from loopwright.kernel.stop.plateau import plateau
from loopwright.kernel.stop.said import agreed_impossible, goal, person, refused
from loopwright.kernel.stop.trust import drift, noise

__all__ = ["BETWEEN", "RULES", "check"]

Rule = Callable[[State], Ending | None]

RULES: Final[tuple[Rule, ...]] = (
    goal,
    person,
    agreed_impossible,
    refused,
    iterations,
    minutes,
    money,
    noise,
    drift,
    repeated_error,
    error_rate,
    cycle,
    plateau,
    diminishing,
)

BETWEEN: Final = frozenset({iterations, noise, drift, cycle, plateau, diminishing})
"""Rules about whole iterations: the one that is planned may still act."""


def check(state: State, *, begun: bool = False) -> Ending | None:
    """The first rule that ends the run now; asked between iterations, and with `begun` before an iteration that was planned acts:
    it counts already, and only what can run out while it acts is looked at again."""
    for rule in RULES:
        if begun and rule in BETWEEN:
            continue
        ending = rule(state)
        if ending is not None:
            return ending
    return None
