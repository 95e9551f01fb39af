"""What an observer is: it looks at a tree and says what it saw; it changes nothing."""

from typing import Protocol

from loopwright.kernel.values import Observation
from loopwright.workspace.workshop import Workshop

__all__ = ["Observer"]


class Observer(Protocol):
    async def observe(self, tree: str, observation_id: str, shop: Workshop) -> Observation:
        """Raises: `ActionError` when nothing could be seen (a command that is not there, a suite that cannot be collected)."""
        ...
