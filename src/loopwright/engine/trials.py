"""What the metric said of the earlier proposals of a run, read from its journal: what a search learns from."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from loopwright.act.protocol import Trial
from loopwright.kernel import events as ev
from loopwright.kernel.values import Keep, Measure, Proposal

__all__ = ["trials_of"]

HEAD_WINDOW = 12
"""A candidate that was only screened was compared with this many of the head's last runs; they stand beside it here too."""


@dataclass(slots=True)
class _Open:
    proposal: Proposal
    tree: str
    candidate: list[float] = field(default_factory=list)
    head: list[float] = field(default_factory=list)
    crashed: bool = False
    kept: bool = False


@dataclass(slots=True)
class _Reader:
    """The run as far as it was read. `fresh` are the last runs of the head, whatever they were made for."""

    tree: str = ""
    fresh: list[float] = field(default_factory=list)
    works: dict[str, object] = field(default_factory=dict)
    trials: dict[str, _Open] = field(default_factory=dict)
    current: str = ""

    def take(self, body: ev.Body) -> None:
        match body:
            case ev.RunStarted():
                self.tree = body.base_tree
            case ev.ActionIntended():
                self.works[body.action.id] = body.action.work
            case ev.Proposed():
                self.trials.update({p.id: _Open(p, self.tree) for p in body.proposals})
            case ev.Judged():
                if body.proposal_id in self.trials and any(v.status == "crash" for v in body.verdicts):
                    self.trials[body.proposal_id].crashed = True
            case ev.Measured():
                self._measured(body)
            case ev.Decided(decision=Keep(proposal_id=kept)):
                if kept in self.trials:
                    self.trials[kept].kept = True
            case ev.Kept():
                self.tree = body.tree
                self.fresh = []
            case _:
                pass

    def _measured(self, body: ev.Measured) -> None:
        work = self.works.get(body.action_id)
        if not isinstance(work, Measure) or work.purpose in ("holdout", "final"):
            return
        if work.proposal_id is not None:
            self.current = work.proposal_id
            trial = self.trials.get(work.proposal_id)
            if trial is None:
                return
            if not trial.candidate:
                trial.head = list(self.fresh)
            if body.sample.value is None:
                trial.crashed = True
            else:
                trial.candidate.append(body.sample.value)
            return
        if body.sample.value is None:
            return
        self.fresh = [*self.fresh, body.sample.value][-HEAD_WINDOW:]
        if work.purpose == "trial" and self.current in self.trials:
            self.trials[self.current].head.append(body.sample.value)


def trials_of(events: Iterable[ev.Event]) -> tuple[Trial, ...]:
    """All proposals so far, oldest first, those of the run that this one was forked from included.

    `head` begins with the head's runs that a candidate was screened against; the runs beside it follow.
    """
    reader = _Reader()
    for event in events:
        reader.take(event.body)
    return tuple(
        Trial(
            proposal=t.proposal,
            tree=t.tree,
            status="kept" if t.kept else "crash" if t.crashed else "reverted" if t.candidate else "refused",
            candidate=tuple(t.candidate),
            head=tuple(t.head),
        )
        for t in reader.trials.values()
    )
