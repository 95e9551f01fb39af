"""Measures a tree, or a proposal on top of it, once: a fresh copy, the loop's own command, one sample. What samples amount to is not
said here."""

from loopwright.errors import ActionError, WorkspaceError
from loopwright.kernel.loop import Loop, Metric
from loopwright.kernel.sample import Sample
from loopwright.kernel.values import Measure, Proposal
from loopwright.suite.metric import CommandNotFound, run_metric
from loopwright.workspace.workshop import Workshop

__all__ = ["measure"]


async def measure(work: Measure, loop: Loop, proposal: Proposal | None, shop: Workshop) -> Sample:
    """One run of the metric's command (for the purpose `holdout` of its holdout command, of which the bounds are not asked) in a fresh
    checkout of `work.tree`, with `proposal` applied when `work` names one and the protected files put back.

    What a proposal does wrong is a sample: also that it cannot be applied, or that it removes the program. Without a proposal a
    program that is not there is a mistake in the loop file.

    Raises: `ActionError` for that, and when the loop has no such command or the wrong proposal is handed in; `UsageError`,
    `SandboxError`, `BlobMissing`, `BlobCorrupt`.
    """
    metric = loop.evaluate.metric
    if metric is None:
        raise ActionError(f"metric: loop {loop.name!r} has no `evaluate.metric`; there is nothing to measure")
    if work.proposal_id != (proposal.id if proposal is not None else None):
        found = "none" if proposal is None else repr(proposal.id)
        raise ActionError(f"metric: expected proposal {work.proposal_id!r} to be measured, found {found}")
    run = _command(metric, work)
    others = () if work.purpose == "holdout" else tuple(bound.name for bound in metric.bounds)
    what = "the head" if proposal is None else proposal.title
    shop.progress(f"measuring {what}: {run}")
    with shop.workspace.checkout(work.tree, work.purpose) as candidate:
        try:
            if proposal is not None:
                candidate.apply(proposal.changes, shop.blobs)
            return await run_metric(
                run,
                metric.name,
                others,
                candidate,
                shop,
                timeout_s=shop.timeout_s if metric.timeout_s is None else metric.timeout_s,
                protect=loop.evaluate.protect,
            )
        except CommandNotFound as error:
            if proposal is None:
                raise
            return Sample("crash", message=str(error))
        except WorkspaceError as error:
            if proposal is None:
                raise
            return Sample("crash", message=f"the proposal cannot be applied: {error}")


def _command(metric: Metric, work: Measure) -> str:
    if work.purpose != "holdout":
        return metric.run
    if metric.holdout is None:
        raise ActionError(f"metric: {metric.name!r} has no `holdout` command; there is nothing to hold out")
    return metric.holdout
