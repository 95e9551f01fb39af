"""What a verifier is: it judges a proposal in a fresh copy, by running things itself."""

from dataclasses import dataclass
from typing import Protocol

from loopwright.kernel.loop import Loop
from loopwright.kernel.values import Observation, Proposal, Verdict
from loopwright.workspace.workshop import Workshop

__all__ = ["JudgeRequest", "Verifier"]


@dataclass(frozen=True, slots=True)
class JudgeRequest:
    """`tree` is the head that the proposal changes; `observations` are those of that head, the baseline."""

    tree: str
    base_tree: str
    loop: Loop
    proposal: Proposal
    observations: tuple[Observation, ...]


class Verifier(Protocol):
    async def judge(self, request: JudgeRequest, shop: Workshop) -> Verdict:
        """A crash of what is judged is a verdict, not an exception. Raises: `ActionError` when it cannot judge at all."""
        ...
