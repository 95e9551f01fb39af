"""What a metric loop measured, in sentences and rows for both reports. Numbers are the runtime's own; names come from the loop file."""

from collections.abc import Iterator
from dataclasses import dataclass

from loopwright.keep.facts import Facts
from loopwright.kernel.ratchet import Claim
from loopwright.views.describe import duration
from loopwright.views.metric import HeadView, MetricView

__all__ = ["Row", "measured_rows", "measured_sentences"]


@dataclass(frozen=True, slots=True)
class Row:
    """One state: what it is, the mean of its fresh runs with how many there were, and of its held-out ones."""

    state: str
    value: str
    runs: str
    holdout: str


def measured_sentences(view: MetricView) -> Iterator[str]:
    """The claim first, then what it rests on."""
    yield _claim(view)
    if view.contradicted is not None:
        yield f"{view.contradicted}."
    if view.noise_sd is None:
        yield "The noise of a run is not known yet."
    elif view.noise_sd == 0:
        yield "Runs of the same code never differed, so one run decides."
    else:
        yield f"Runs of the same code differ by {view.noise_sd:.3g} (one standard deviation)."
    yield from _held_out(view)
    yield f"{view.runs} runs of the command took {duration(view.wall_ms)}."


def _held_out(view: MetricView) -> Iterator[str]:
    """The base against the last head that was measured so: a run may end before its last keep was."""
    before, heads = view.heads[0].holdout_mean, [h for h in view.heads[1:] if h.holdout_mean is not None]
    if before is None or not heads:
        return
    after = heads[-1].holdout_mean
    assert after is not None
    gain = view.held_out_gain or 0.0
    word = "better" if gain > 0 else "worse" if gain < 0 else "no different"
    when = "at the end" if heads[-1] is view.heads[-1] else "the last time that a kept state was measured there"
    yield f"On what is held out: {before:.5g} at the base, {after:.5g} {when} ({word}{f' by {abs(gain):.3g}' if gain else ''})."


def measured_rows(facts: Facts) -> Iterator[Row]:
    """The base and each keep, in order."""
    if facts.metric is None:
        return
    titles = {a.proposal.id: f"iteration {a.iteration}: {a.proposal.title}" for a in facts.kept}
    for head in facts.metric.heads:
        state = "the base" if head.proposal_id is None else titles.get(head.proposal_id, head.proposal_id)
        yield Row(state, _number(head.mean), _runs(head), _number(head.holdout_mean))


def _claim(view: MetricView) -> str:
    claim, name = view.claim, view.metric.name
    if claim is None:
        return f"No gain is claimed: {name} was not measured enough."
    if claim.low <= 0 <= claim.high:
        said = f"No gain in {name} is claimed: {_interval(claim)}" if claim.runs and claim.high > claim.low else ""
        return said or f"No gain in {name} is claimed: {claim.note}."
    word = "better" if claim.gain > 0 else "WORSE"
    return f"{name} is {word} by {abs(claim.gain):.4g}: {_interval(claim)}"


def _interval(claim: Claim) -> str:
    if claim.high == claim.low:
        return f"{claim.note}."
    return f"with 95 % between {claim.low:.4g} and {claim.high:.4g} better ({claim.note})."


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.5g}"


def _runs(head: HeadView) -> str:
    return f"{len(head.runs)}{f', {head.failed} without a number' if head.failed else ''}"
