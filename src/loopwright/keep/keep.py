"""Keep: a proposal becomes a commit on the run's branch. Doing it twice is doing it once."""

from collections.abc import Sequence

from loopwright.errors import ActionError
from loopwright.keep.message import commit_message
from loopwright.keep.scope import kept_changes
from loopwright.kernel.loop import Loop
from loopwright.kernel.values import KeepProposal, Proposal, Verdict
from loopwright.workspace.protocol import Commit
from loopwright.workspace.workshop import Workshop

__all__ = ["KeepBeat"]


class KeepBeat:
    """Performs `KeepProposal`. Every input of the commit stands in the journal, so its id is known before the effect and after."""

    async def keep(
        self,
        work: KeepProposal,
        proposal: Proposal,
        verdicts: Sequence[Verdict],
        *,
        branch: str,
        branch_commit: str | None,
        loop: Loop,
        shop: Workshop,
    ) -> Commit:
        """The commit, with `branch` pointing at it. `branch_commit` is where the run's branch is now, `None` = not made yet.

        Raises: `ActionError` when the proposal may not be kept; `WorkspaceError` when git says no, or when somebody else moved
        the branch (what is there is under a salvage ref then).
        """
        commit = self._commit(work, proposal, verdicts, loop, shop)
        shop.workspace.move_branch(branch, commit.commit, expected=branch_commit)
        return commit

    async def already_done(
        self,
        work: KeepProposal,
        proposal: Proposal,
        verdicts: Sequence[Verdict],
        *,
        branch: str,
        loop: Loop,
        shop: Workshop,
    ) -> Commit | None:
        """Asked after a crash: the commit when the branch points at it, `None` when this keep has not happened. Moves nothing.

        Raises: `WorkspaceError` when git says no.
        """
        try:
            commit = self._commit(work, proposal, verdicts, loop, shop)
        except ActionError:
            return None  # refused before it could have any effect
        return commit if shop.workspace.branch_head(branch) == commit.commit else None

    def _commit(
        self, work: KeepProposal, proposal: Proposal, verdicts: Sequence[Verdict], loop: Loop, shop: Workshop
    ) -> Commit:
        return shop.workspace.commit(
            work.parent_commit,
            kept_changes(proposal, loop),
            shop.blobs,
            message=commit_message(loop.name, shop.run_id, work.iteration, proposal, verdicts),
            at_ms=work.committed_at_ms,
        )
