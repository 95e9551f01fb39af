"""Every fact of a run, as one discriminated union. What is not here did not happen.

Each action ends with exactly one event that carries its `action_id` and its `spend`: the fact that it brought (`Observed`,
`Planned`, `Proposed`, `Judged`, `Kept`, `Delivered`) or `ActionFailed`. A change to the meaning of a field here needs a new
`SCHEMA_VERSION` and an upcaster in `journal/codec.py`.
"""

from typing import Literal

from loopwright.kernel.calls import CallAsk, CallStatus, Origin, Taint, ToolCall
from loopwright.kernel.loop import Loop
from loopwright.kernel.sample import Sample
from loopwright.kernel.values import (
    Action,
    BlobRef,
    Budget,
    Decision,
    Observation,
    Plan,
    Proposal,
    Spend,
    StopReason,
    Value,
    Verdict,
)

__all__ = [
    "SCHEMA_VERSION",
    "ActionFailed",
    "ActionIntended",
    "Answered",
    "Asked",
    "Body",
    "CallDecided",
    "CallEnded",
    "CallIntended",
    "CallRequested",
    "Decided",
    "Delivered",
    "DriverStarted",
    "Event",
    "Judged",
    "Kept",
    "LimitsChanged",
    "Measured",
    "Observed",
    "Outcome",
    "PauseRequested",
    "Planned",
    "PolicyBound",
    "Proposed",
    "RunFinished",
    "RunForked",
    "RunPaused",
    "RunResumed",
    "RunStarted",
    "Salvaged",
    "StopRequested",
    "TriggerFired",
    "TriggerSkipped",
    "Weighed",
    "kind_of",
]

SCHEMA_VERSION = 2


# --- a run's life -----------------------------------------------------------------------------------------------------
class RunStarted(Value, frozen=True, tag="run_started"):
    """`loop_digest` is the SHA-256 of the loop's canonical JSON; `base_tree` is the git tree of `base_commit`."""

    loop: Loop
    loop_digest: str
    base_commit: str
    base_tree: str
    branch: str
    jobs: int
    trigger: str
    ticket: str | None
    notes: tuple[str, ...]
    seed: int
    version: str


class RunForked(Value, frozen=True, tag="run_forked"):
    """The events before this one are copied from `parent_run_id` up to `parent_seq`; what they spent was spent there."""

    parent_run_id: str
    parent_seq: int
    parent_digest: str
    branch: str


class DriverStarted(Value, frozen=True, tag="driver_started"):
    """A process took the run over. Intents without outcome before this event are orphans. `sandbox` is the isolation reached."""

    driver_id: str
    host: str
    pid: int
    version: str
    sandbox: str


class PauseRequested(Value, frozen=True, tag="pause_requested"):
    by: str
    why: str


class StopRequested(Value, frozen=True, tag="stop_requested"):
    """`reason` is `integrity` when the runtime ends the run itself, for a secret that was about to leave for instance."""

    by: str
    why: str
    reason: Literal["stopped", "integrity"] = "stopped"


class RunPaused(Value, frozen=True, tag="run_paused"):
    why: str


class RunResumed(Value, frozen=True, tag="run_resumed"):
    by: str


class LimitsChanged(Value, frozen=True, tag="limits_changed"):
    """A person set the run's budget anew; the values are totals of the run, not additions."""

    by: str
    budget: Budget


class RunFinished(Value, frozen=True, tag="run_finished"):
    reason: StopReason
    exit_code: int
    summary: str


# --- actions: intent, then exactly one outcome --------------------------------------------------------------------------
class ActionIntended(Value, frozen=True, tag="action_intended"):
    action: Action
    reserve: Spend


class ActionFailed(Value, frozen=True, tag="action_failed"):
    """`unknown`: the driver ended before the outcome was recorded. `signature` groups errors that are the same but for numbers."""

    action_id: str
    status: Literal["error", "timeout", "denied", "unknown", "cancelled"]
    message: str
    signature: str
    spend: Spend
    output: BlobRef | None = None


class Observed(Value, frozen=True, tag="observed"):
    """`goal_met` is the conjunction over the sources that can tell; `None` when none can."""

    action_id: str
    observations: tuple[Observation, ...]
    goal_met: bool | None
    spend: Spend


class Planned(Value, frozen=True, tag="planned"):
    action_id: str
    iteration: int
    rung: int
    plan: Plan
    spend: Spend


class Proposed(Value, frozen=True, tag="proposed"):
    """`memory` is the rung's own, handed back to it unread on its next call for the same head; `impossible` is its reason why the
    goal cannot be met; `done` is its claim that nothing is left to do, which only requests a check."""

    action_id: str
    proposals: tuple[Proposal, ...]
    exhausted: bool
    memory: BlobRef | None
    findings: BlobRef | None
    summary: str
    spend: Spend
    impossible: str | None = None
    done: bool = False


class Judged(Value, frozen=True, tag="judged"):
    action_id: str
    proposal_id: str
    verdicts: tuple[Verdict, ...]
    spend: Spend


class Measured(Value, frozen=True, tag="measured"):
    """One run of the metric's command. What was measured, and of what, stands in the intent."""

    action_id: str
    sample: Sample
    spend: Spend


class Weighed(Value, frozen=True, tag="weighed"):
    """The metric's verdict on a proposal, from all of its samples; follows from the state alone."""

    proposal_id: str
    verdict: Verdict


class Decided(Value, frozen=True, tag="decided"):
    """`why` is one line that a person understands, with the numbers."""

    decision: Decision
    why: str


class Kept(Value, frozen=True, tag="kept"):
    action_id: str
    proposal_id: str
    iteration: int
    commit: str
    tree: str
    spend: Spend


class Delivered(Value, frozen=True, tag="delivered"):
    action_id: str
    how: str
    places: tuple[str, ...]
    spend: Spend


class Salvaged(Value, frozen=True, tag="salvaged"):
    """Work that would have been overwritten was put under `ref` first."""

    ref: str
    why: str


# --- people -----------------------------------------------------------------------------------------------------------
class Asked(Value, frozen=True, tag="asked"):
    """`call` is there exactly when the question is about one tool call (`about` is then `call`)."""

    ask_id: str
    question: str
    about: str
    call: CallAsk | None = None


class Answered(Value, frozen=True, tag="answered"):
    """`digest` is that of the call that the person saw, for a question about a call: an answer to anything else counts for nothing."""

    ask_id: str
    answer: Literal["approve", "deny"]
    by: str
    why: str
    digest: str | None = None


# --- tool calls: request, decision, intent, outcome; an asked or denied call has no intent ------------------------------------
class PolicyBound(Value, frozen=True, tag="policy_bound"):
    """What `actor` may do from here on: the policy, its grant and its plan, by content. All three were fixed before anything
    untrusted was read; a later one for the same actor can only narrow."""

    actor: str
    policy: BlobRef
    grant: BlobRef
    plan: BlobRef


class CallRequested(Value, frozen=True, tag="call_requested"):
    """`reason` are the actor's own words: shown last and quoted, never decided by."""

    call: ToolCall
    origins: tuple[Origin, ...]
    reason: BlobRef | None = None


class CallDecided(Value, frozen=True, tag="call_decided"):
    """`rule` names what decided, `remedy` is the smallest change that would allow it, `trail` are the calls that tainted the run."""

    call_id: str
    verdict: Literal["allow", "ask", "deny"]
    rule: str
    why: str
    remedy: str
    trail: tuple[str, ...]


class CallIntended(Value, frozen=True, tag="call_intended"):
    """On disk before the effect. `key` is the idempotency key that the world is given; `approval` is the ask that this consumes."""

    call_id: str
    key: str
    reserve: Spend
    approval: str | None = None


class CallEnded(Value, frozen=True, tag="call_ended"):
    """`output` is redacted. `sent_bytes` is what left this machine."""

    call_id: str
    status: CallStatus
    message: str
    output: BlobRef | None
    spend: Spend
    taint: Taint = "none"
    sent_bytes: int = 0


# --- a loop's own stream (`loop:<name>`): what its triggers did ---------------------------------------------------------
class TriggerFired(Value, frozen=True, tag="trigger_fired"):
    """`run_id` was reserved before the run was started: a service that dies in between starts exactly this run, once.

    `subject` is what it fired for (a ticket's path, a commit, a due time); `evidence` identifies the state that was looked at.
    """

    trigger: str
    subject: str
    due_at_ms: int
    run_id: str
    evidence: str


class TriggerSkipped(Value, frozen=True, tag="trigger_skipped"):
    """A firing that started nothing, and why: `missed` (the service was down), `active` (a run is on), `unchanged` (nothing to do)."""

    trigger: str
    subject: str
    due_at_ms: int
    reason: Literal["missed", "active", "unchanged", "error"]
    detail: str
    evidence: str


Body = (
    RunStarted
    | RunForked
    | DriverStarted
    | PauseRequested
    | StopRequested
    | RunPaused
    | RunResumed
    | LimitsChanged
    | RunFinished
    | ActionIntended
    | ActionFailed
    | Observed
    | Planned
    | Proposed
    | Judged
    | Measured
    | Weighed
    | Decided
    | Kept
    | Delivered
    | Salvaged
    | Asked
    | Answered
    | PolicyBound
    | CallRequested
    | CallDecided
    | CallIntended
    | CallEnded
    | TriggerFired
    | TriggerSkipped
)


Outcome = ActionFailed | Observed | Planned | Proposed | Judged | Measured | Kept | Delivered
"""What ends an action, exactly one for each intent; each has its `action_id` and its `spend`."""


class Event(Value, frozen=True):
    """A fact in its place. `prev` is the digest of the event before it in its run (`""` for the first); `digest` is
    SHA-256 over the RFC 8785 form of all the other fields."""

    run_id: str
    seq: int
    at_ms: int
    prev: str
    body: Body
    digest: str


def kind_of(body: Body) -> str:
    """The journal's name of an event's kind, `run_started` for instance."""
    tag = body.__struct_config__.tag
    assert isinstance(tag, str)
    return tag
