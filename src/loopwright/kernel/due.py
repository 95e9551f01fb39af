"""What is due now: facts and what the triggers did → what fires, and what is skipped and why. A run costs money, this costs nothing.

Two kinds of trigger. A *schedule* has moments: each is dealt with once, fired or skipped, and then it is past. A *state* (an open
ticket, the head of a branch) is due for as long as nobody dealt with it: one that is held back by an active run fires later.
"""

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from loopwright.kernel import events as ev
from loopwright.kernel.schedule import (
    Moment,
    Quiet,
    ScheduleState,
    counted,
    evidence_of,
    key_of,
    ticket_of,
    ticket_part,
)
from loopwright.kernel.values import Value

__all__ = ["Branch", "Decision", "Facts", "Fire", "Folder", "Look", "Schedule", "Sighting", "decide"]

QUIET_LIMIT_MS: Final = 24 * 3_600_000
"""After this long a count of silent skips is written down, so that a crash forgets at most a day of them."""


# --- facts, as the shell found them -------------------------------------------------------------------------------------
class Schedule(Value, frozen=True):
    """`due`: the moments since `moments_after`, oldest first; with `more`, some between the last two were left out."""

    trigger: str
    due: tuple[Moment, ...]
    more: bool = False


class Sighting(Value, frozen=True):
    """An open ticket: its path in the repository, the SHA-256 of its text."""

    path: str
    digest: str


class Folder(Value, frozen=True):
    trigger: str
    open: tuple[Sighting, ...]


class Branch(Value, frozen=True):
    """Where a branch points, and its tree."""

    trigger: str
    commit: str
    tree: str


Look = Schedule | Folder | Branch


class Facts(Value, frozen=True):
    """`tree` is that of HEAD; `active` maps the ticket of each unfinished run of the loop (`None` = without one) to the run's id."""

    now_ms: int
    loop_digest: str
    tree: str
    looks: tuple[Look, ...]
    active: Mapping[str | None, str]


class Fire(Value, frozen=True):
    """A run is to be begun. `ticket` is its path, `None` = a run without one."""

    trigger: str
    subject: str
    ticket: str | None
    due_at_ms: int
    evidence: str

    def event(self, run_id: str) -> ev.TriggerFired:
        return ev.TriggerFired(self.trigger, self.subject, self.due_at_ms, run_id, self.evidence)


# --- decisions --------------------------------------------------------------------------------------------------------
Decision = Fire | ev.TriggerSkipped


def decide(state: ScheduleState, facts: Facts) -> tuple[ScheduleState, tuple[Decision, ...]]:
    """What to fire and what to skip, in the order of the triggers; to be appended in this order, in one commit.

    The state that comes back counts what is skipped in silence. At most one `Fire` for each ticket, and one without a ticket.
    """
    active = dict(facts.active)
    made: list[Decision] = []
    for look in facts.looks:
        match look:
            case Schedule():
                state, decisions = _schedule(state, facts, look, active)
            case Branch():
                decisions = _branch(state, facts, look, active)
            case Folder():
                decisions = [
                    decision
                    for sighting in look.open
                    if (decision := _ticket(state, facts, look, sighting, active)) is not None
                ]
        for decision in decisions:
            if isinstance(decision, Fire):
                # A second trigger that is due in the same look finds this run on.
                active[decision.ticket] = "the run that another trigger begins now"
        made += decisions
    return state, tuple(made)


def _schedule(
    state: ScheduleState, facts: Facts, look: Schedule, active: Mapping[str | None, str]
) -> tuple[ScheduleState, list[Decision]]:
    name = look.trigger
    if name not in state.marks:
        return state, [_skip(look.trigger, "", facts.now_ms, "unchanged", "first seen: it fires from here on", "")]
    if not look.due:
        return state, []
    *older, newest = look.due
    made: list[Decision] = []
    if older:
        made.append(_skip(name, older[-1].label, older[-1].at_ms, "missed", _missed(older, newest, look.more), ""))
    evidence = evidence_of(facts.loop_digest, facts.tree)
    refusal = _refusal(state, facts, None, evidence, active)
    quiet = state.quiet.get(name)
    if refusal is None:
        if quiet is not None:
            made.insert(0, counted(quiet))
        made.append(Fire(name, newest.label, None, newest.at_ms, evidence))
        return state, made
    skip = _skip(name, newest.label, newest.at_ms, *refusal, evidence)
    before = quiet.skip if quiet else state.marks[name].last
    if made or not _repeats(before, skip) or (quiet and newest.at_ms - quiet.first.at_ms >= QUIET_LIMIT_MS):
        if quiet is not None:
            made.insert(0, counted(quiet))
        return state, [*made, skip]
    more = Quiet(skip, quiet.count + 1 if quiet else 1, quiet.first if quiet else newest, newest)
    return msgspec.structs.replace(state, quiet={**state.quiet, name: more}), []


def _branch(state: ScheduleState, facts: Facts, look: Branch, active: Mapping[str | None, str]) -> list[Decision]:
    mark = state.marks.get(look.trigger)
    evidence = evidence_of(facts.loop_digest, look.tree)
    if mark is None:
        return [_skip(look.trigger, look.commit, facts.now_ms, "unchanged", "first seen: later commits fire", evidence)]
    if mark.settled is not None and mark.settled.subject == look.commit:
        return []
    refusal = _refusal(state, facts, None, evidence, active)
    if refusal is None:
        return [Fire(look.trigger, look.commit, None, facts.now_ms, evidence)]
    skip = _skip(look.trigger, look.commit, facts.now_ms, *refusal, evidence)
    return [] if _repeats(mark.last, skip) and mark.last.subject == look.commit else [skip]


def _ticket(
    state: ScheduleState, facts: Facts, look: Folder, sighting: Sighting, active: Mapping[str | None, str]
) -> Decision | None:
    mark = state.marks.get(key_of(look.trigger, sighting.path))
    evidence = evidence_of(facts.loop_digest, facts.tree, sighting.digest)
    if mark is not None and mark.settled is not None and ticket_part(mark.settled.evidence) == ticket_part(evidence):
        return None
    refusal = _refusal(state, facts, sighting.path, evidence, active)
    if refusal is None:
        return Fire(look.trigger, sighting.path, sighting.path, facts.now_ms, evidence)
    skip = _skip(look.trigger, sighting.path, facts.now_ms, *refusal, evidence)
    if mark is None or not isinstance(mark.last, ev.TriggerSkipped) or mark.last.reason != skip.reason:
        return skip
    # While a run is on, other commits may come and go: only another text of the ticket is news.
    return None if ticket_part(mark.last.evidence) == ticket_part(evidence) else skip


Reason = Literal["missed", "active", "unchanged", "error"]


def _refusal(
    state: ScheduleState, facts: Facts, ticket: str | None, evidence: str, active: Mapping[str | None, str]
) -> tuple[Reason, str] | None:
    """Why nothing is to be started, with no more than a look at what is known already."""
    if (run_id := active.get(ticket)) is not None:
        return "active", f"{run_id} is not finished"
    on = set(facts.active.values())
    for mark in state.marks.values():
        fired = mark.fired
        if fired is None or fired.evidence != evidence or fired.run_id in on:
            continue
        # Which trigger it was does not matter, which ticket does: two of them may well have the same text.
        if ticket_of(fired) == ticket:
            return "unchanged", f"nothing has changed since run {fired.run_id}"
    return None


def _repeats(last: ev.TriggerFired | ev.TriggerSkipped, skip: ev.TriggerSkipped) -> bool:
    return (
        isinstance(last, ev.TriggerSkipped)
        and (last.reason, last.evidence) == (skip.reason, skip.evidence)
        and skip.reason != "missed"
    )


def _missed(older: list[Moment], newest: Moment, more: bool) -> str:
    if more:
        what = f"more than {len(older)} firings since {older[0].label}"
    elif len(older) == 1:
        what = f"1 firing at {older[0].label}"
    else:
        what = f"{len(older)} firings between {older[0].label} and {older[-1].label}"
    return f"{what}: no service was on; {newest.label} stands for them"


def _skip(trigger: str, subject: str, due_at_ms: int, reason: Reason, detail: str, evidence: str) -> ev.TriggerSkipped:
    return ev.TriggerSkipped(trigger, subject, due_at_ms, reason, detail, evidence)
