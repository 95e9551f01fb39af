"""What is known of a loop's triggers."""

from loopwright.kernel import events as ev
from loopwright.views.loop import loop_view
from support.streams import START_MS, Stream


def test_a_loop_without_firings_knows_nothing() -> None:
    view = loop_view([])
    assert (view.subjects, view.fired, view.last_fired_at_ms, view.last_due_at_ms("cron")) == ((), 0, None, None)


def test_each_subject_of_each_trigger_is_followed_by_itself() -> None:
    stream = Stream("loop:fix", step_ms=10)
    stream.add(ev.TriggerFired("ticket", "tickets/a.md", 1, "run-a", "sha-a"))
    stream.add(ev.TriggerFired("ticket", "tickets/b.md", 2, "run-b", "sha-b"))
    stream.add(ev.TriggerSkipped("ticket", "tickets/a.md", 3, "unchanged", "", "sha-a"))
    stream.add(ev.TriggerFired("git", "tickets/a.md", 4, "run-g", "commit"))
    view = loop_view(stream.events)
    assert (view.name, view.fired, view.skipped, view.run_ids) == ("fix", 3, 1, ("run-a", "run-b", "run-g"))
    seen = view.subject("ticket", "tickets/a.md")
    assert seen is not None
    assert (seen.last_run_id, seen.last_fired_at_ms, seen.evidence) == ("run-a", START_MS + 10, "sha-a")
    assert (seen.last_skip, seen.fired, seen.skipped, seen.last_due_at_ms) == ("unchanged", 1, 1, 3)
    assert view.subject("cron", "tickets/a.md") is None


def test_the_last_evidence_is_that_of_the_last_look() -> None:
    stream = Stream("loop:fix")
    stream.add(ev.TriggerFired("git", "main", 1, "run-a", "commit-1"))
    stream.add(ev.TriggerSkipped("git", "main", 2, "active", "run-a is on", "commit-2"))
    seen = loop_view(stream.events).subject("git", "main")
    assert seen is not None
    assert (seen.evidence, seen.last_skip, seen.detail) == ("commit-2", "active", "run-a is on")
    stream.add(ev.TriggerFired("git", "main", 3, "run-b", "commit-2"))
    assert loop_view(stream.events).subjects[0].last_skip is None


def test_missed_firings_are_counted_and_move_the_due_time_on() -> None:
    stream = Stream("loop:fix")
    for due in (60_000, 120_000):
        stream.add(ev.TriggerSkipped("cron", str(due), due, "missed", "the service was down", ""))
    view = loop_view(stream.events)
    assert (view.missed, view.fired, view.last_due_at_ms("cron")) == (2, 0, 120_000)


def test_a_late_record_of_an_old_due_time_does_not_move_the_trigger_back() -> None:
    stream = Stream("loop:fix")
    for due in (120_000, 60_000):
        stream.add(ev.TriggerSkipped("ticket", "a.md", due, "unchanged", "", ""))
    assert loop_view(stream.events).last_due_at_ms("ticket") == 120_000
