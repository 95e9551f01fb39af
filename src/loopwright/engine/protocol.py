"""What the driver needs from the world: somebody who performs actions, and a clock."""

from collections.abc import Callable
from typing import Protocol

from loopwright.kernel.events import Body
from loopwright.kernel.state import State
from loopwright.kernel.values import Action

__all__ = ["Clock", "Performer"]

Clock = Callable[[], int]
"""Milliseconds since the epoch."""


class Performer(Protocol):
    """Turns an action into the one event that ends it. What goes wrong is an event too: only cancellation is an exception."""

    @property
    def sandbox_description(self) -> str: ...

    async def perform(self, state: State, action: Action) -> Body: ...

    async def reconcile(self, state: State, action: Action) -> list[Body]:
        """How an action ended whose driver died: asked of the world, else `ActionFailed` with status `unknown`."""
        ...

    async def close(self) -> None:
        """Ends what it keeps running between two actions; it may be asked to perform again afterwards."""
        ...

    async def settle_calls(self, state: State) -> list[Body]:
        """How the tool calls ended that a dead driver left without an outcome: asked of the world where it can be, never redone."""
        ...
