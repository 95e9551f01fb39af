"""What a person asks of a run: is it going, what did it try, what was kept and why. Everything that a report needs is here.

A fold of its own: it decides nothing, so unlike the kernel's it takes any events in any order and never raises. A run whose
journal is damaged or was written by a newer driver must still be shown.
"""

from collections.abc import Iterable
from typing import Literal

from loopwright.kernel.events import Event
from loopwright.kernel.sample import Sample
from loopwright.kernel.values import BlobRef, Budget, Spend, StopReason, Value, Verdict

__all__ = [
    "FailureView",
    "InFlightView",
    "IterationView",
    "KeptView",
    "ObservationView",
    "OpenAsk",
    "ProposalState",
    "ProposalView",
    "RunStatus",
    "RunView",
    "SampleView",
    "ToolCallView",
    "run_view",
]

RunStatus = Literal["running", "paused", "waiting", "finished", "interrupted"]
"""`waiting`: a person has to answer. `interrupted`: not finished, nobody asked it to pause, and no driver holds it."""

ProposalState = Literal["offered", "judging", "judged", "kept", "discarded"]
"""`discarded` covers all that was not kept and never will be; `ProposalView.verdicts` says whether it crashed or failed."""


class InFlightView(Value, frozen=True):
    """An action without outcome. `orphaned`: the driver that began it is gone, so whether it happened is not known yet."""

    action_id: str
    beat: str
    subject: str
    since_ms: int
    orphaned: bool


class OpenAsk(Value, frozen=True):
    ask_id: str
    question: str
    about: str
    asked_at_ms: int


class ToolCallView(Value, frozen=True):
    """One tool call. `status` is how it ended; `None` = it was not done, or is in flight."""

    call_id: str
    actor: str
    tool: str
    verdict: str
    rule: str
    why: str
    status: str | None


class ObservationView(Value, frozen=True):
    """What one source saw. `content` is the whole of it (a `SuiteReport` for tests)."""

    source: str
    summary: str
    trust: Literal["trusted", "untrusted"]
    goal_met: bool | None
    content: BlobRef
    taken_at_ms: int


class FailureView(Value, frozen=True):
    """An action that brought nothing. `subject` is what it was about (a proposal's title, a tree), empty when that says nothing."""

    beat: str
    subject: str
    status: str
    message: str
    at_ms: int


class SampleView(Value, frozen=True):
    """One run of the metric's command in a proposal's trial, of its candidate or of the head beside it."""

    candidate: bool
    sample: Sample


class ProposalView(Value, frozen=True):
    """`verdicts` are those of the last judgement (`judgements` counts all of them); `why` is why it was kept or not, in one line.

    `rung` is the name of the proposer, `files` are the paths that it changes, `commit` is set when it was kept.
    """

    id: str
    rung: str
    title: str
    rationale: str
    files: tuple[str, ...]
    diff: BlobRef | None
    digest: str
    state: ProposalState
    verdicts: tuple[Verdict, ...]
    judgements: int
    why: str
    commit: str | None
    samples: tuple[SampleView, ...] = ()

    @property
    def score(self) -> float | None:
        """The score that decisions go by, the last that a verifier gave; larger is better, `None` = nobody scored."""
        return next((v.score for v in reversed(self.verdicts) if v.score is not None), None)

    @property
    def measured(self) -> float | None:
        """The mean of its own runs, in the metric's unit; `None` when no run gave a number."""
        values = [s.sample.value for s in self.samples if s.candidate and s.sample.value is not None]
        return sum(values) / len(values) if values else None

    @property
    def passed(self) -> bool:
        return bool(self.verdicts) and all(v.status == "pass" or v.advisory for v in self.verdicts)

    @property
    def crashed(self) -> bool:
        return any(v.status == "crash" for v in self.verdicts)


class IterationView(Value, frozen=True):
    """`number` 0 is what came before the first plan. `rung` is the place on the ladder, 0 the cheapest."""

    number: int
    rung: int
    rationale: str
    steps: tuple[str, ...]
    proposals: tuple[ProposalView, ...]
    decisions: tuple[str, ...]
    failures: tuple[FailureView, ...]
    summary: str
    started_at_ms: int

    @property
    def kept(self) -> ProposalView | None:
        return next((p for p in self.proposals if p.state == "kept"), None)


class KeptView(Value, frozen=True):
    iteration: int
    proposal_id: str
    title: str
    commit: str
    tree: str
    at_ms: int


class RunView(Value, frozen=True):
    """A run after any number of its events. Times are epoch milliseconds; `None` = has not happened.

    `spend` is the run's own: what a fork copied was spent by its parent and stands in `inherited`. `spend.wall_ms` adds up all
    actions, those side by side too; `active_ms` is the time that drivers were at work.
    """

    run_id: str
    loop: str
    goal: str
    trigger: str
    ticket: str | None
    status: RunStatus
    driven: bool
    activity: str
    """What is going on, in words: `evaluating 2 proposals`, `waiting for an answer`, `nothing runs`."""
    iteration: int
    started_at_ms: int | None
    last_at_ms: int | None
    finished_at_ms: int | None
    active_ms: int
    events: int
    stop_reason: StopReason | None
    exit_code: int | None
    summary: str
    branch: str
    base_commit: str
    base_tree: str
    head_commit: str
    head_tree: str
    deliver: str
    places: tuple[str, ...]
    kept: tuple[KeptView, ...]
    iterations: tuple[IterationView, ...]
    baseline: tuple[ObservationView, ...]
    """What was seen before anything was tried."""
    observed: tuple[ObservationView, ...]
    """What was seen last."""
    budget: Budget
    spend: Spend
    inherited: Spend
    in_flight: tuple[InFlightView, ...]
    asks: tuple[OpenAsk, ...]
    calls: tuple[ToolCallView, ...]
    """Every tool call that was asked for, in order."""
    sandboxes: tuple[str, ...]
    notes: tuple[str, ...]
    salvaged: tuple[str, ...]
    forked_from: str | None
    forked_at_seq: int | None
    version: str
    seed: int

    @property
    def proposals(self) -> tuple[ProposalView, ...]:
        return tuple(p for i in self.iterations for p in i.proposals)

    @property
    def failures(self) -> tuple[FailureView, ...]:
        return tuple(f for i in self.iterations for f in i.failures)

    @property
    def sandboxed(self) -> bool | None:
        """Whether every driver isolated what it ran; `None` when no driver has started yet."""
        return all("not sandboxed" not in s.lower() for s in self.sandboxes) if self.sandboxes else None


def run_view(events: Iterable[Event], *, driven: bool) -> RunView:
    """The run as these events leave it; any prefix of a run will do, none at all too.

    `driven`: whether a live process holds the run's lease; the journal alone cannot tell `running` from `interrupted`.
    """
    from loopwright.views.fold import RunFold

    fold = RunFold()
    for event in events:
        fold.add(event)
    return fold.view(driven=driven)
