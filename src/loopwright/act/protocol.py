"""What a proposer is: something that is given what was observed and offers sets of file changes. Its words decide nothing."""

from dataclasses import dataclass
from typing import Protocol

from loopwright.errors import ActionError
from loopwright.kernel.loop import Loop
from loopwright.kernel.values import BlobRef, Observation, Plan, Proposal, Spend
from loopwright.workspace.workshop import Workshop

__all__ = ["ProposeRequest", "ProposeResult", "Proposer", "WaitsForPerson"]


@dataclass(frozen=True, slots=True)
class ProposeRequest:
    """`memory` is what this rung returned on its last call for the same head (`None` on the first). `tried` are the digests of
    proposals that were already judged; `lessons` says in words why they failed."""

    run_id: str
    iteration: int
    rung: int
    tree: str
    loop: Loop
    ticket: str | None
    plan: Plan
    observations: tuple[Observation, ...]
    batch: int
    memory: BlobRef | None
    tried: tuple[str, ...]
    lessons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ProposeResult:
    """At most `batch` proposals, the most promising first. `exhausted`: this rung has nothing more for this head."""

    proposals: tuple[Proposal, ...]
    exhausted: bool
    summary: str
    memory: BlobRef | None = None
    findings: BlobRef | None = None
    spend: Spend = Spend()
    impossible: str | None = None


class WaitsForPerson(ActionError):
    """A call of the rung's program must be allowed first: the action is done anew in the same iteration once `asks` are answered.

    `spend` is what the program says that it cost until here.
    """

    def __init__(self, asks: tuple[str, ...], spend: Spend) -> None:
        super().__init__(f"waits for a person: {', '.join(asks)}", signature="waits for a person", status="cancelled")
        self.spend = spend


class Proposer(Protocol):
    async def propose(self, request: ProposeRequest, shop: Workshop) -> ProposeResult:
        """Raises: `ActionError` when the rung cannot be performed at all, `WaitsForPerson` when it cannot be performed yet."""
        ...
