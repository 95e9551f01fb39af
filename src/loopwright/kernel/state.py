"""The state of a run, and what can be read off it. How events make it is said in `fold`.

Histories are windows of fixed length: only stop rules read them, and a run of a hundred thousand events must fold in about a second.
"""

from typing import Final, get_args

from loopwright.errors import IllegalTransition
from loopwright.kernel import events as ev
from loopwright.kernel.calls import CallInFlight
from loopwright.kernel.history import Turn
from loopwright.kernel.loop import Loop
from loopwright.kernel.ratchet import Ratchet
from loopwright.kernel.values import (
    Action,
    BlobRef,
    Budget,
    Observation,
    Phase,
    Plan,
    Proposal,
    Spend,
    StopReason,
    Value,
    Verdict,
    Work,
)

__all__ = [
    "ABOUT_PROPOSAL",
    "Ask",
    "Ending",
    "InFlight",
    "Judgement",
    "Mark",
    "State",
    "acceptable",
    "beat_of",
    "trial_of",
]

ABOUT_PROPOSAL: Final = "proposal "
"""What a question about one proposal is about, its id behind it."""


class InFlight(Value, frozen=True):
    action: Action
    reserve: Spend


class Judgement(Value, frozen=True):
    """`weighed` and `reviewed`: the metric, or the judges, have spoken too; their verdicts stand after those of the checks."""

    proposal_id: str
    verdicts: tuple[Verdict, ...]
    weighed: bool = False
    reviewed: bool = False


class Mark(Value, frozen=True):
    """How one action ended; `signature` and `message` are empty for `ok`."""

    beat: str
    status: str
    signature: str
    message: str = ""

    def same_as(self, other: "Mark") -> bool:
        """The same error but for numbers and places."""
        return (self.beat, self.status, self.signature) == (other.beat, other.status, other.signature)


class Ask(Value, frozen=True):
    ask_id: str
    question: str
    about: str


class Ending(Value, frozen=True):
    reason: StopReason
    why: str


class State(Value, frozen=True):
    """A run after `seq` events. `active_ms` is the time in which a driver was at work, from its first event to its last: neither a
    pause nor a crash counts, nor what a person asks of a run that nobody drives."""

    seq: int
    phase: Phase
    last_at_ms: int
    driver_at_ms: int
    active_ms: int
    loop: Loop
    budget: Budget
    branch: str
    base_commit: str
    base_tree: str
    jobs: int
    seed: int
    ticket: str | None
    head_commit: str
    head_tree: str
    branch_commit: str | None = None
    """Where this run's branch points; `None` = this run has not written it yet."""
    iteration: int = 0
    rung: int = 0
    observations: tuple[Observation, ...] = ()
    goal_met: bool | None = None
    plan: Plan | None = None
    proposals: tuple[Proposal, ...] = ()
    judgements: tuple[Judgement, ...] = ()
    judge_failures: tuple[str, ...] = ()
    retries: int = 0
    keeping: str | None = None
    exhausted: bool = False
    said: str = ""
    """The rung's own line on its last search."""
    memory: BlobRef | None = None
    findings: tuple[BlobRef, ...] = ()
    impossible: str | None = None
    impossible_agreed: bool = False
    done: bool = False
    """The rung says that nothing is left to do, and nobody looked yet; `refuted`: the last thing that it said was that, and it was not
    so; `claims` is how often it said so in vain for this head."""
    refuted: bool = False
    claims: int = 0
    ratchet: Ratchet | None = None
    """What was measured; `None` for a loop without a metric."""
    turns: tuple[Turn, ...] = ()
    turn_spent: Spend = Spend()
    turn_active_ms: int = 0
    """What was spent when the last iteration ended."""
    denials: int = 0
    """Calls that the policy refused since the last keep."""
    disagreements: int = 0
    """Iterations in a row in which the judges contradicted each other."""
    disagreed: str | None = None
    """A person ended the run over it."""
    inflight: tuple[InFlight, ...] = ()
    intents: int = 0
    spent: Spend = Spend()
    kept: int = 0
    last_keep_iteration: int = 0
    tried: tuple[str, ...] = ()
    repeats: int = 0
    lessons: tuple[str, ...] = ()
    marks: tuple[Mark, ...] = ()
    failures_in_a_row: int = 0
    unknown_in_a_row: int = 0
    asks: tuple[Ask, ...] = ()
    asked: int = 0
    calls: tuple[CallInFlight, ...] = ()
    """Tool calls with an intent and no outcome; `called` is how many were requested."""
    called: int = 0
    pause_requested: str | None = None
    stop_requested: str | None = None
    stop_reason: StopReason = "stopped"
    paused: str | None = None
    ending: Ending | None = None
    finished: ev.RunFinished | None = None

    def remaining(self) -> Budget:
        """What is left once everything that is in flight has used its reserve up."""
        left = self.budget.minus(
            Spend(self.spent.usd_micros, self.spent.tokens, wall_ms=self.active_ms, iterations=self.iteration)
        )
        for reserve in (*(f.reserve for f in self.inflight), *(c.reserve for c in self.calls)):
            left = left.minus(reserve)
        return left

    def work_of(self, action_id: str) -> InFlight:
        for flying in self.inflight:
            if flying.action.id == action_id:
                return flying
        raise IllegalTransition(
            f"action {action_id!r}: expected an intent without outcome, found none at seq {self.seq}"
        )

    def proposal(self, proposal_id: str) -> Proposal:
        for proposal in self.proposals:
            if proposal.id == proposal_id:
                return proposal
        raise IllegalTransition(f"proposal {proposal_id!r}: not one of iteration {self.iteration}")


def beat_of(work: Work) -> str:
    """The word for what an action does: observe, plan, propose, evaluate, keep or deliver."""
    return _BEATS[type(work)]


_BEATS: Final = {kind: str(kind.__struct_config__.tag) for kind in get_args(Work)}


def trial_of(state: State) -> str | None:
    """The proposal that is measured next: the first that passed its checks and was not weighed yet."""
    judged = {j.proposal_id: j for j in state.judgements}
    for proposal in state.proposals:
        judgement = judged.get(proposal.id)
        if judgement is not None and not judgement.weighed and acceptable(judgement):
            return proposal.id
    return None


def acceptable(judgement: Judgement) -> bool:
    """Nothing that decides speaks against it; a person may have to be asked first."""
    deciding = [v for v in judgement.verdicts if not v.advisory]
    return bool(deciding) and all(v.status in ("pass", "ask") for v in deciding)
