"""Replay: the journal is folded again, its decisions are proven, and the kept commits are rebuilt from base and blobs alone."""

from loopwright.engine.site import Site
from loopwright.journal.chain import ChainReport, verify
from loopwright.keep.message import commit_message
from loopwright.keep.scope import kept_changes
from loopwright.keep.steps import kept_steps
from loopwright.kernel import events as ev
from loopwright.kernel.replay import ReplayProof, prove
from loopwright.kernel.values import Value
from loopwright.workspace.git_workspace import GitWorkspace

__all__ = ["ReplayResult", "chain_of", "replay_run"]


class ReplayResult(Value, frozen=True):
    """`rebuilt` is the head that base commit and journal give; it must be `head`. Both are `None` when nothing was kept."""

    run: str
    chain: ChainReport
    proof: ReplayProof | None
    head: str | None
    rebuilt: str | None
    exit_code: int
    stop_reason: str

    def lines(self) -> list[str]:
        """What a person reads."""
        if self.proof is None:
            return [f"run {self.run}: the chain is broken: {self.chain.message}"]
        found = [
            f"run {self.run}: {self.proof.events} events, chain whole, {self.proof.decisions} decisions recomputed"
        ]
        if self.proof.difference is not None:
            other = self.proof.difference
            expected = " or ".join(other.expected) or "nothing"
            found.append(f"  event {other.seq} differs: found {other.found}, the kernel gives {expected}")
        else:
            found.append("  every decision is the one that follows from what was recorded")
        if self.head is not None:
            same = "the same" if self.head == self.rebuilt else f"DIFFERENT: {self.head}"
            found.append(f"  kept commits rebuilt from base and journal: {self.rebuilt} ({same})")
        return found


def chain_of(site: Site, run_id: str) -> ChainReport:
    """The hash chain of a run, recomputed over the stored bytes."""
    return verify(site.journal.raw(run_id), site.journal.head(run_id))


def replay_run(site: Site, run_id: str) -> ReplayResult:
    """Raises: `WorkspaceError` when the base commit is not in this clone, `BlobMissing`, `IllegalTransition`."""
    chain = chain_of(site, run_id)
    if not chain.ok:
        return ReplayResult(run_id, chain, None, None, None, 7, "integrity")
    events = list(site.journal.read(run_id))
    proof = prove(events)
    steps = kept_steps(events)
    head = rebuilt = None
    if steps:
        first = events[0].body
        assert isinstance(first, ev.RunStarted)
        head = steps[-1].commit.commit
        made = [
            (
                kept_changes(step.proposal, first.loop),
                commit_message(first.loop.name, step.run_id, step.iteration, step.proposal, step.verdicts),
                step.at_ms,
            )
            for step in steps
        ]
        workspace = GitWorkspace(site.repository, site.runtime_dir)
        rebuilt = workspace.rebuild(first.base_commit, made, site.journal.blobs).commit
    same = proof.difference is None and head == rebuilt
    return ReplayResult(run_id, chain, proof, head, rebuilt, 0 if same else 7, "replayed" if same else "integrity")
