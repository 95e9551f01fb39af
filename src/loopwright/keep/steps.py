"""The kept iterations of a run with all that delivery needs to show them again, read from its journal."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from loopwright.kernel import events as ev
from loopwright.kernel.fold import by_person
from loopwright.kernel.state import ABOUT_PROPOSAL
from loopwright.kernel.values import Evaluate, KeepProposal, Proposal, Verdict
from loopwright.workspace.protocol import Commit

__all__ = ["KeptStep", "kept_steps"]


@dataclass(frozen=True, slots=True)
class KeptStep:
    """`run_id` is the run that made the commit: of a fork's steps some are its parent's. `parent_tree` is what it changed."""

    run_id: str
    iteration: int
    proposal: Proposal
    verdicts: tuple[Verdict, ...]
    parent_tree: str
    commit: Commit
    at_ms: int


def kept_steps(events: Iterable[ev.Event]) -> tuple[KeptStep, ...]:
    """What a run kept, in order. An outcome whose intent or proposal is not among the events is left out."""
    steps: list[KeptStep] = []
    proposals: dict[str, Proposal] = {}
    verdicts: dict[str, tuple[Verdict, ...]] = {}
    keeping: dict[str, KeepProposal] = {}
    reviews: set[str] = set()
    asked: dict[str, str] = {}
    tree = ""
    forked_at = 0
    for event in events:
        match event.body:
            case ev.RunStarted() as body:
                tree = body.base_tree
            case ev.RunForked() as body:
                # The marker names whose the steps since the last marker are; the copied events carry the fork's own id.
                steps[forked_at:] = [replace(step, run_id=body.parent_run_id) for step in steps[forked_at:]]
                forked_at = len(steps)
            case ev.Proposed() as body:
                proposals.update((p.id, p) for p in body.proposals)
            case ev.ActionIntended(action=action) if isinstance(action.work, KeepProposal):
                keeping[action.id] = action.work
            case ev.ActionIntended(action=action) if (
                isinstance(action.work, Evaluate) and action.work.stage == "review"
            ):
                reviews.add(action.id)
            case ev.Judged() as body:
                before = verdicts.get(body.proposal_id, ()) if body.action_id in reviews else ()
                verdicts[body.proposal_id] = (*before, *body.verdicts)
            case ev.Weighed() as body:
                verdicts[body.proposal_id] = (*verdicts.get(body.proposal_id, ()), body.verdict)
            case ev.Asked() as body:
                asked[body.ask_id] = body.about.removeprefix(ABOUT_PROPOSAL)
            case ev.Answered() as body:
                about = asked.get(body.ask_id, "")
                verdicts[about] = by_person(verdicts.get(about, ()), body)
            case ev.Kept() as body:
                work, proposal = keeping.get(body.action_id), proposals.get(body.proposal_id)
                if work is not None and proposal is not None:
                    commit = Commit(body.commit, body.tree)
                    judged = verdicts.get(body.proposal_id, ())
                    steps.append(
                        KeptStep(event.run_id, body.iteration, proposal, judged, tree, commit, work.committed_at_ms)
                    )
                tree = body.tree
    return tuple(steps)
