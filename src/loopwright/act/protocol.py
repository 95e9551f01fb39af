"""What a proposer is: something that is given what was observed and offers sets of file changes. Its words decide nothing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from loopwright.errors import ActionError
from loopwright.kernel.loop import Loop
from loopwright.kernel.values import BlobRef, Observation, Plan, Proposal, Spend
from loopwright.workspace.workshop import Workshop

__all__ = ["ProposeRequest", "ProposeResult", "Proposer", "Trial", "WaitsForPerson"]


@dataclass(frozen=True, slots=True)
class Trial:
    """An earlier proposal of the run, of whichever rung, and what the metric said of it. `tree` is the head that it changed.

    `candidate` and `head` are the raw values measured of it and of the head beside it, in the metric's unit and in the order of the
    runs; empty where nothing could be measured. `status`: `crash` when its command crashed, ran out of time or printed no number.
    """

    proposal: Proposal
    tree: str
    status: Literal["kept", "reverted", "crash", "refused"]
    candidate: tuple[float, ...]
    head: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ProposeRequest:
    """`memory` is what this rung returned on its last call for the same head (`None` on the first). `tried` are the digests of
    proposals that were already judged; `lessons` says in words why they failed. `trials` reads all earlier proposals of the run from
    its journal, those of the run that it was forked from included, oldest first."""

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
    trials: Callable[[], Sequence[Trial]] = tuple


@dataclass(frozen=True, slots=True)
class ProposeResult:
    """At most `batch` proposals, the most promising first. `exhausted`: this rung has nothing more for this head. `done`: it says that
    the goal is met, which is checked."""

    proposals: tuple[Proposal, ...]
    exhausted: bool
    summary: str
    memory: BlobRef | None = None
    findings: BlobRef | None = None
    spend: Spend = Spend()
    impossible: str | None = None
    done: bool = False


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
