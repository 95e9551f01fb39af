"""What a planner is: it says what will be tried next and why. A plan is for people and proposers; nothing is decided by it."""

from dataclasses import dataclass
from typing import Protocol

from loopwright.kernel.loop import Loop
from loopwright.kernel.values import Observation, Plan
from loopwright.workspace.workshop import Workshop

__all__ = ["PlanRequest", "Planner"]


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """`tree` is the head; `rung` counts from 0 on the loop's ladder, `iteration` from 1. `ticket` is its text, `lessons` says why
    earlier proposals failed, the oldest first."""

    tree: str
    loop: Loop
    rung: int
    iteration: int
    observations: tuple[Observation, ...]
    ticket: str | None
    lessons: tuple[str, ...]


class Planner(Protocol):
    async def plan(self, request: PlanRequest, shop: Workshop) -> Plan:
        """Raises: `ActionError` when no plan can be made at all."""
        ...
