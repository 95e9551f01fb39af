"""Judges a planted case as a run would: the loop's own verifiers in their order, then its metric by the rule that keeps."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from loopwright.act.digest import changes_digest
from loopwright.engine.drills.evaluate.case import Case
from loopwright.engine.drills.evaluate.ground import Ground
from loopwright.engine.drills.evaluate.report import Result
from loopwright.errors import ActionError
from loopwright.evaluate.metric import measure
from loopwright.evaluate.protocol import JudgeRequest, Verifier
from loopwright.kernel.loop import Loop, Metric
from loopwright.kernel.ratchet import Ratchet, hopeless, measured, start, wanted_of_head, wanted_of_trial, weigh
from loopwright.kernel.values import Change, Measure, Proposal, Verdict
from loopwright.workspace.workshop import Workshop

__all__ = ["Chain", "Judged", "calibrated", "head_value", "judge", "proposal_of"]

Chain = Callable[[Loop], Sequence[Verifier]]
"""Makes the verifiers of a loop, in the order in which they judge."""


@dataclass(frozen=True, slots=True)
class Judged:
    result: Result
    verifier: str
    line: str


def proposal_of(case: Case, ground: Ground, shop: Workshop) -> Proposal:
    """The case as a proposal that no model made."""
    known = set(ground.paths)
    changes = tuple(
        Change(path, "100644", None if text is None else shop.blobs.put(text.encode(), exact=True))
        for path, text in sorted(case.edits.items())
        if text is not None or path in known
    )
    return Proposal(
        f"drill.{case.name}",
        "drill",
        case.tried,
        "planted by the drill",
        changes,
        changes_digest(changes),
        family="none",
    )


async def judge(
    proposal: Proposal, ground: Ground, loop: Loop, chain: Sequence[Verifier], ratchet: Ratchet | None, shop: Workshop
) -> Judged:
    """`loop` may differ from the ground's in a key that is tried out. `ratchet` is what is known of the head's metric; `None` = the loop
    has none. Raises: `SandboxError`, `UsageError`."""
    request = JudgeRequest(ground.tree, ground.tree, loop, proposal, ground.observations)
    asked: Verdict | None = None
    last = Judged("let_through", "nobody", "the loop's evaluation has nobody who looks at it")
    try:
        for verifier in chain:
            verdict = await verifier.judge(request, shop)
            if verdict.status == "ask":
                asked = asked or verdict
            elif verdict.status != "pass":
                return Judged("refused", verdict.verifier, verdict.summary)
            last = Judged("let_through", verdict.verifier, verdict.summary)
        if loop.evaluate.metric is not None and ratchet is not None:
            verdict = await _measured(proposal, ground.tree, loop, loop.evaluate.metric, ratchet, shop)
            if verdict.status != "pass":
                return Judged("refused", verdict.verifier, verdict.summary)
            last = Judged("let_through", verdict.verifier, verdict.summary)
    except ActionError as error:
        # A run counts this as a crash of the candidate.
        return Judged("refused", "judging", f"it could not be judged: {error}")
    return last if asked is None else Judged("asks", asked.verifier, asked.summary)


async def calibrated(ground: Ground, loop: Loop, metric: Metric, shop: Workshop) -> Ratchet:
    """What the runs of the unchanged head say. Raises: `ActionError` when it cannot be measured or is too noisy to judge anything."""
    ratchet = start()
    while (purpose := wanted_of_head(ratchet, metric)) is not None:
        work = Measure(ground.tree, None, purpose)
        ratchet = measured(ratchet, work, await measure(work, loop, None, shop), metric)
    why = hopeless(ratchet, metric)
    if why is not None:
        raise ActionError(f"drill: the metric of the unchanged head is of no use: {why}")
    return ratchet


def head_value(ratchet: Ratchet) -> float:
    """The mean of the head's runs, in the metric's unit."""
    return sum(run.value for run in ratchet.fresh) / max(1, len(ratchet.fresh))


async def _measured(
    proposal: Proposal, tree: str, loop: Loop, metric: Metric, ratchet: Ratchet, shop: Workshop
) -> Verdict:
    """Every case begins from the same calibration: none of them is kept, so none may teach anything."""
    while (wanted := wanted_of_trial(ratchet, metric, proposal)) is not None:
        candidate = proposal if wanted == "candidate" else None
        # The head's run beside it belongs to no proposal.
        work = Measure(tree, None if candidate is None else proposal.id, "trial")
        ratchet = measured(ratchet, work, await measure(work, loop, candidate, shop), metric)
    return weigh(ratchet, metric, proposal)
