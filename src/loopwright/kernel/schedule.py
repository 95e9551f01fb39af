"""What a loop's triggers did: the fold of the loop's own stream, `loop:<name>`. What is due now is decided in `due.py`.

Skips that repeat each other are counted here and not written: an idle service must not grow its journal. The count is written
when something else happens to the trigger, when the service ends (`settled`), and at the latest after a day.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from loopwright.kernel import events as ev
from loopwright.kernel.loop import CronTrigger, FileTrigger, GitTrigger, TicketTrigger, Trigger, WebhookTrigger
from loopwright.kernel.values import Value

__all__ = [
    "STREAM_PREFIX",
    "Mark",
    "Moment",
    "Quiet",
    "ScheduleState",
    "apply",
    "commit_of",
    "counted",
    "evidence_of",
    "firings",
    "fold",
    "key_of",
    "moments_after",
    "settled",
    "stream_of",
    "ticket_of",
    "ticket_part",
    "trigger_name",
]

STREAM_PREFIX: Final = "loop:"

_TICKET: Final = "ticket "
_GIT: Final = "git "
_DIGITS: Final = 24
"""Hex digits of each part of an evidence: enough that no two states of one loop are ever taken for each other by accident."""


class Moment(Value, frozen=True):
    """A due time of a schedule; `label` is how a person reads it."""

    at_ms: int
    label: str


class Mark(Value, frozen=True):
    """One schedule, one branch, or one ticket of a folder. `settled`: the last event after which the state that it names was done with."""

    due_at_ms: int
    last: ev.TriggerFired | ev.TriggerSkipped
    fired: ev.TriggerFired | None = None
    settled: ev.TriggerFired | ev.TriggerSkipped | None = None


class Quiet(Value, frozen=True):
    """Skips that were not written because the written one before them says the same."""

    skip: ev.TriggerSkipped
    count: int
    first: Moment
    last: Moment


class ScheduleState(Value, frozen=True):
    """`marks` by trigger, and by trigger and path for tickets. `quiet` is of this process alone: no event says it yet."""

    seq: int = 0
    marks: Mapping[str, Mark] = {}
    quiet: Mapping[str, Quiet] = {}


def apply(state: ScheduleState, body: ev.Body) -> ScheduleState:
    """The state after one more event of the stream. Kinds that say nothing about triggers only move `seq`."""
    if not isinstance(body, ev.TriggerFired | ev.TriggerSkipped):
        return msgspec.structs.replace(state, seq=state.seq + 1)
    key = key_of(body.trigger, body.subject)
    was = state.marks.get(key)
    fired = was.fired if was else None
    settled = was.settled if was else None
    if isinstance(body, ev.TriggerFired):
        fired = settled = body
    elif body.reason in ("unchanged", "error"):
        settled = body
        if body.reason == "error" and fired is not None and fired.subject == body.subject:
            fired = None  # the run that it fired could not be begun, and will not be
    due_at_ms = max(body.due_at_ms, was.due_at_ms) if was else body.due_at_ms
    return ScheduleState(
        seq=state.seq + 1,
        marks={**state.marks, key: Mark(due_at_ms, body, fired, settled)},
        quiet={name: quiet for name, quiet in state.quiet.items() if name != key},
    )


def fold(bodies: Iterable[ev.Body], state: ScheduleState | None = None) -> ScheduleState:
    state = state or ScheduleState()
    for body in bodies:
        state = apply(state, body)
    return state


def firings(state: ScheduleState) -> tuple[ev.TriggerFired, ...]:
    """The last firing of each schedule, branch and ticket: only these can still be without a run, as one is active at a time."""
    return tuple(mark.fired for mark in state.marks.values() if mark.fired is not None)


def moments_after(state: ScheduleState, trigger: str) -> int | None:
    """Moments up to here (epoch ms) were dealt with; `None` for a schedule that was never seen."""
    mark, quiet = state.marks.get(trigger), state.quiet.get(trigger)
    if mark is None:
        return None
    return max(mark.due_at_ms, quiet.last.at_ms if quiet else 0)


def settled(state: ScheduleState) -> tuple[ev.TriggerSkipped, ...]:
    """The skips that were only counted, as events: for a clean end of the service."""
    return tuple(counted(quiet) for quiet in state.quiet.values())


def counted(quiet: Quiet) -> ev.TriggerSkipped:
    if quiet.count == 1:
        return quiet.skip
    detail = f"{quiet.skip.detail}; {quiet.count} firings between {quiet.first.label} and {quiet.last.label}"
    return msgspec.structs.replace(quiet.skip, detail=detail)


# --- names ------------------------------------------------------------------------------------------------------------
def evidence_of(loop_digest: str, tree: str, ticket_digest: str = "") -> str:
    """What a firing looked at, in three parts: the loop, the files, the ticket. Equal exactly when all three are."""
    return ".".join((loop_digest[:_DIGITS], tree[:_DIGITS], ticket_digest[:_DIGITS] or "-"))


def ticket_part(evidence: str) -> str:
    return evidence.rpartition(".")[2]


def trigger_name(trigger: Trigger) -> str:
    """How the journal and people call a trigger; two triggers of one loop with the same name are the same trigger."""
    match trigger:
        case CronTrigger(expression=expression, timezone=timezone):
            return f"cron {' '.join(expression.split())} {timezone}"
        case TicketTrigger(folder=folder):
            return f"{_TICKET}{folder.rstrip('/')}/"
        case GitTrigger(branch=branch):
            return f"{_GIT}{branch}"
        case FileTrigger(glob=pattern):
            return f"file {pattern}"
        case WebhookTrigger(path=path):
            return f"webhook {path}"


def ticket_of(fired: ev.TriggerFired) -> str | None:
    """The ticket that a firing is about; `None` when it has none."""
    return fired.subject if fired.trigger.startswith(_TICKET) else None


def commit_of(fired: ev.TriggerFired) -> str | None:
    """The commit that a firing is about, which its run begins from; `None` when it is about none."""
    return fired.subject if fired.trigger.startswith(_GIT) else None


def stream_of(loop_name: str) -> str:
    return f"{STREAM_PREFIX}{loop_name}"


def key_of(trigger: str, subject: str) -> str:
    # Only tickets are looked at one by one. No trigger's name holds a NUL.
    return f"{trigger}\0{subject}" if trigger.startswith(_TICKET) else trigger
