"""Moments of a cron line: in its own time zone, each once, whatever the clocks do."""

from datetime import datetime

import pytest

from loopwright.engine.triggers.cron import MOST_COUNTED, due_times, label, latest_due, look, next_due
from loopwright.kernel.loop import CronTrigger

BERLIN = "Europe/Berlin"


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def moments(line: str, after: str, until: str, zone: str = BERLIN) -> list[str]:
    trigger = CronTrigger(line, zone)
    found = due_times(trigger, ms(after), ms(until), 100)
    assert latest_due(trigger, ms(after), ms(until)) == (found[-1] if found else None)
    return [label(trigger, at_ms) for at_ms in found]


def test_a_line_is_meant_in_its_own_time_zone() -> None:
    assert moments("0 9 * * 1-5", "2026-01-02T00:00+01:00", "2026-01-06T00:00+01:00") == [
        "2026-01-02T09:00+01:00",
        "2026-01-05T09:00+01:00",
    ]
    tokyo = CronTrigger("0 9 * * *", "Asia/Tokyo")
    assert due_times(tokyo, ms("2026-01-01T00:00+00:00"), ms("2026-01-01T23:59+00:00"), 9) == []
    assert next_due(tokyo, ms("2026-01-01T00:00+00:00")) == ms("2026-01-02T00:00+00:00")


def test_a_moment_in_the_hour_that_spring_skips_comes_right_after_the_gap_and_once() -> None:
    """2026-03-29, 02:00 is followed by 03:00 in Berlin."""
    assert moments("10,30 2 * * *", "2026-03-28T03:00+01:00", "2026-03-30T03:00+02:00") == [
        "2026-03-29T03:00+02:00",
        "2026-03-30T02:10+02:00",
        "2026-03-30T02:30+02:00",
    ]


def test_a_moment_in_the_hour_that_autumn_repeats_comes_once() -> None:
    """2026-10-25, 03:00 is followed by 02:00 in Berlin."""
    assert moments("30 2 * * *", "2026-10-24T03:00+02:00", "2026-10-26T03:00+01:00") == [
        "2026-10-25T02:30+02:00",
        "2026-10-26T02:30+01:00",
    ]
    # Asked between the two passes, the first one is over and does not come back.
    assert moments("30 2 * * *", "2026-10-25T02:10+01:00", "2026-10-25T12:00+01:00") == []


def test_an_hourly_line_keeps_elapsed_time_through_both_changes() -> None:
    assert moments("30 * * * *", "2026-10-25T01:00+02:00", "2026-10-25T04:00+01:00") == [
        "2026-10-25T01:30+02:00",
        "2026-10-25T02:30+02:00",
        "2026-10-25T02:30+01:00",
        "2026-10-25T03:30+01:00",
    ]
    assert moments("*/30 * * * *", "2026-03-29T01:00+01:00", "2026-03-29T03:30+02:00") == [
        "2026-03-29T01:30+01:00",
        "2026-03-29T03:00+02:00",
        "2026-03-29T03:30+02:00",
    ]


@pytest.mark.parametrize("line", ["* * * * *", "*/7 3-5 * * *", "0 0 29 2 *", "15 10 * * 1#2", "0 12 L * *"])
@pytest.mark.parametrize("zone", ["UTC", BERLIN, "America/St_Johns", "Australia/Lord_Howe"])
def test_splitting_a_span_anywhere_gives_the_same_moments(line: str, zone: str) -> None:
    """A service that looks every second finds exactly what one that looks once finds."""
    trigger = CronTrigger(line, zone)
    start, end = ms("2028-02-25T00:00Z"), ms("2028-04-10T00:00Z")
    whole = due_times(trigger, start, end, 10**6)
    assert whole == sorted(set(whole))
    pieces: list[int] = []
    for at_ms in range(start, end, 13 * 3_600_000 + 61_000):
        pieces += due_times(trigger, at_ms, min(end, at_ms + 13 * 3_600_000 + 61_000), 10**6)
    assert pieces == whole


def test_a_long_absence_is_counted_to_a_limit_and_its_latest_moment_is_exact() -> None:
    seen = look(CronTrigger("* * * * *", BERLIN), ms("2025-01-01T00:00Z"), ms("2026-01-01T00:00:30Z"))
    assert (len(seen.due), seen.more) == (MOST_COUNTED + 1, True)
    assert seen.due[-1].label == "2026-01-01T01:00+01:00"


def test_a_schedule_that_was_never_seen_has_nothing_due_and_a_clock_that_went_back_neither() -> None:
    trigger = CronTrigger("* * * * *")
    assert look(trigger, None, 10**12).due == ()
    assert look(trigger, 10**12 + 600_000, 10**12).due == ()
