"""What a loop's triggers did: the fold of its own stream, `loop:<name>`.

The engine reads it to find out what is due; `evidence` is how it tells that nothing has changed since it last looked.
"""

from collections.abc import Iterable
from typing import Literal

from loopwright.kernel import events as ev
from loopwright.kernel.schedule import STREAM_PREFIX
from loopwright.kernel.values import Value

__all__ = ["LoopView", "SubjectView", "loop_view"]


class SubjectView(Value, frozen=True):
    """One subject of one trigger (a ticket, a branch, a due time). Times are epoch milliseconds, `None` = never.

    `last_due_at_ms` and `evidence` are those of the last thing that happened to it, fired or skipped.
    """

    trigger: str
    subject: str
    last_due_at_ms: int
    evidence: str
    last_fired_at_ms: int | None = None
    last_run_id: str | None = None
    fired: int = 0
    skipped: int = 0
    missed: int = 0
    last_skip: Literal["missed", "active", "unchanged", "error"] | None = None
    """Why the last firing started nothing; `None` when it started a run."""
    detail: str = ""


class LoopView(Value, frozen=True):
    """`subjects` in the order in which they first appeared; `missed` counts the firings that a service which was down let go."""

    name: str
    subjects: tuple[SubjectView, ...]
    run_ids: tuple[str, ...]
    fired: int
    skipped: int
    missed: int
    last_fired_at_ms: int | None
    last_at_ms: int | None

    def subject(self, trigger: str, subject: str) -> SubjectView | None:
        return next((s for s in self.subjects if s.trigger == trigger and s.subject == subject), None)

    def last_due_at_ms(self, trigger: str) -> int | None:
        """The latest due time of a trigger that was dealt with, whatever its subject; `None` = none yet."""
        return max((s.last_due_at_ms for s in self.subjects if s.trigger == trigger), default=None)


def loop_view(events: Iterable[ev.Event]) -> LoopView:
    """What is known of a loop's triggers; events of other kinds say nothing here and are passed over."""
    subjects: dict[tuple[str, str], SubjectView] = {}
    name, run_ids = "", []
    last_at_ms: int | None = None
    last_fired_at_ms: int | None = None
    for event in events:
        body = event.body
        name = event.run_id.removeprefix(STREAM_PREFIX)
        last_at_ms = event.at_ms
        if isinstance(body, ev.TriggerFired):
            last_fired_at_ms = event.at_ms
            run_ids.append(body.run_id)
        elif not isinstance(body, ev.TriggerSkipped):
            continue
        key = (body.trigger, body.subject)
        subjects[key] = _after(subjects.get(key), body, event.at_ms)
    return LoopView(
        name=name,
        subjects=tuple(subjects.values()),
        run_ids=tuple(run_ids),
        fired=sum(s.fired for s in subjects.values()),
        skipped=sum(s.skipped for s in subjects.values()),
        missed=sum(s.missed for s in subjects.values()),
        last_fired_at_ms=last_fired_at_ms,
        last_at_ms=last_at_ms,
    )


def _after(was: SubjectView | None, body: ev.TriggerFired | ev.TriggerSkipped, at_ms: int) -> SubjectView:
    fired = isinstance(body, ev.TriggerFired)
    return SubjectView(
        trigger=body.trigger,
        subject=body.subject,
        last_due_at_ms=max(body.due_at_ms, was.last_due_at_ms) if was else body.due_at_ms,
        evidence=body.evidence,
        last_fired_at_ms=at_ms if fired else was.last_fired_at_ms if was else None,
        last_run_id=body.run_id if isinstance(body, ev.TriggerFired) else was.last_run_id if was else None,
        fired=(was.fired if was else 0) + fired,
        skipped=(was.skipped if was else 0) + (not fired),
        missed=(was.missed if was else 0) + (isinstance(body, ev.TriggerSkipped) and body.reason == "missed"),
        last_skip=body.reason if isinstance(body, ev.TriggerSkipped) else None,
        detail=body.detail if isinstance(body, ev.TriggerSkipped) else "",
    )
