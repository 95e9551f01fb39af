"""Which of a proposal's changes may be kept. Pure."""

from loopwright.errors import ActionError
from loopwright.kernel.loop import Loop
from loopwright.kernel.values import Change, Proposal
from loopwright.workspace.patterns import matches

__all__ = ["kept_changes"]


def kept_changes(proposal: Proposal, loop: Loop) -> tuple[Change, ...]:
    """The changes without those to protected paths: verifiers put these back before they scored, so they were never judged.

    Raises: `ActionError` when a change lies outside `permit.write`, or when nothing is left. Leaving such a change out instead
    would keep a state that no verifier has seen.
    """
    changes = tuple(c for c in proposal.changes if not matches(c.path, loop.evaluate.protect))
    outside = [c.path for c in changes if loop.permit.write and not matches(c.path, loop.permit.write)]
    if outside:
        raise ActionError(
            f"proposal {proposal.id!r} changes {outside[0]!r}; expected changes to {', '.join(loop.permit.write)} only: "
            "it is not kept, add the path to permit.write if it should be",
            signature="keep: outside permit.write",
            status="denied",
        )
    if not changes:
        raise ActionError(
            f"proposal {proposal.id!r} changes protected paths only; expected a change that may be kept: it is not kept",
            signature="keep: nothing to keep",
        )
    return changes
