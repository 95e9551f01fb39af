"""What a metric loop measured, read from its events: the numbers of its report, and the only gain that it may claim."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from loopwright.kernel import events as ev
from loopwright.kernel import ratchet
from loopwright.kernel.loop import Metric
from loopwright.kernel.ratchet import Claim
from loopwright.kernel.values import Measure, Value

__all__ = ["HeadView", "MetricView", "metric_view"]


class HeadView(Value, frozen=True):
    """A state that was kept, or the base (`proposal_id` is `None`). `runs` are its fresh measurements, from which nothing was decided;
    `holdout` those of the second command; both in the metric's unit. `failed` counts the runs that gave no number."""

    proposal_id: str | None
    tree: str
    runs: tuple[float, ...]
    holdout: tuple[float, ...]
    failed: int

    @property
    def mean(self) -> float | None:
        return sum(self.runs) / len(self.runs) if self.runs else None

    @property
    def holdout_mean(self) -> float | None:
        return sum(self.holdout) / len(self.holdout) if self.holdout else None


class MetricView(Value, frozen=True):
    """`heads`: the base first, then each keep. `noise_sd` is that of one run, 0 = runs never differed, `None` = not known.
    `runs` counts all measurements, `wall_ms` is the time that they took."""

    metric: Metric
    heads: tuple[HeadView, ...]
    noise_sd: float | None
    claim: Claim | None
    summary: str
    contradicted: str | None
    """What the fresh runs of the last keep say against it; `None` = nothing."""
    runs: int
    wall_ms: int

    @property
    def held_out_gain(self) -> float | None:
        """Of the last kept state that was measured on what is held out, over the base; positive is better. `None` = none was."""
        before = self.heads[0].holdout_mean
        after = next((h.holdout_mean for h in reversed(self.heads[1:]) if h.holdout_mean is not None), None)
        if before is None or after is None:
            return None
        return before - after if self.metric.goal == "min" else after - before


@dataclass(slots=True)
class _Head:
    proposal_id: str | None
    tree: str
    runs: list[float] = field(default_factory=list)
    holdout: list[float] = field(default_factory=list)
    failed: int = 0

    def view(self) -> HeadView:
        return HeadView(self.proposal_id, self.tree, tuple(self.runs), tuple(self.holdout), self.failed)


def metric_view(events: Iterable[ev.Event]) -> MetricView | None:
    """`None` for a loop without a metric. Takes any prefix of a run."""
    metric: Metric | None = None
    state = ratchet.start()
    heads: list[_Head] = []
    works: dict[str, Measure] = {}
    runs = wall_ms = 0
    for event in events:
        match event.body:
            case ev.RunStarted(loop=loop, base_tree=base_tree):
                metric = loop.evaluate.metric
                heads = [_Head(None, base_tree)]
            case ev.ActionIntended(action=action) if isinstance(action.work, Measure):
                works[action.id] = action.work
            case ev.Measured() as body if metric is not None and body.action_id in works:
                work = works.pop(body.action_id)
                state = ratchet.measured(state, work, body.sample, metric)
                runs, wall_ms = runs + 1, wall_ms + body.sample.wall_ms
                _take(heads, work, body)
            case ev.Weighed(verdict=verdict) if metric is not None:
                state = ratchet.settled(state, metric, verdict)
            case ev.Kept() as body if metric is not None:
                state = ratchet.moved(state, metric, body.proposal_id)
                heads.append(_Head(body.proposal_id, body.tree))
            case _:
                pass
    if metric is None:
        return None
    return MetricView(
        metric=metric,
        heads=tuple(head.view() for head in heads),
        noise_sd=ratchet.noise_sd(state),
        claim=ratchet.claim(state, metric),
        summary=ratchet.head_summary(state, metric),
        contradicted=ratchet.contradicted(state, metric),
        runs=runs,
        wall_ms=wall_ms,
    )


def _take(heads: list[_Head], work: Measure, body: ev.Measured) -> None:
    """Runs of a trial decided something and are left out; those that compare base and head at the end belong to both."""
    if work.purpose == "trial":
        return
    head = next((h for h in reversed(heads) if h.tree == work.tree), None)
    if head is None:
        return
    if body.sample.value is None:
        head.failed += 1
    elif work.purpose == "holdout":
        head.holdout.append(body.sample.value)
    else:
        head.runs.append(body.sample.value)
