"""The moments of a cron line in its time zone. The only place that knows calendars.

A line that names its hour keeps wall-clock time: what falls into the hour that spring skips happens right after the gap, and what
falls into the hour that autumn repeats happens once, in its first pass. A line for every hour keeps elapsed time.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

from loopwright.kernel.due import Schedule
from loopwright.kernel.loop import CronTrigger
from loopwright.kernel.schedule import Moment, trigger_name

__all__ = ["MOST_COUNTED", "due_times", "latest_due", "look", "next_due"]

MOST_COUNTED: Final = 1000
"""Moments of a long absence that are counted one by one; a year of minutes would take seconds."""

_DAY_MS: Final = 24 * 3_600_000
_WINDOWS_MS: Final = (3_600_000, _DAY_MS, 40 * _DAY_MS, 400 * _DAY_MS)


def due_times(trigger: CronTrigger, after_ms: int, until_ms: int, most: int) -> list[int]:
    """The first `most` moments with `after_ms` < moment <= `until_ms`, in epoch milliseconds, ascending, each once."""
    found: list[int] = []
    for at_ms in _moments(trigger, after_ms):
        if at_ms > until_ms or len(found) >= most:
            break
        found.append(at_ms)
    return found


def latest_due(trigger: CronTrigger, after_ms: int, until_ms: int) -> int | None:
    """The last moment with `after_ms` < moment <= `until_ms`, without walking through all of them; `None` = there is none."""
    for window_ms in (*_WINDOWS_MS, until_ms - after_ms):
        # Short looks back first: a dense line is found in the last hour, a sparse one is cheap to walk.
        since_ms = max(after_ms, until_ms - window_ms)
        last = None
        for at_ms in _moments(trigger, since_ms):
            if at_ms > until_ms:
                break
            last = at_ms
        if last is not None or since_ms == after_ms:
            return last
    return None


def next_due(trigger: CronTrigger, after_ms: int) -> int | None:
    """The first moment after `after_ms`; `None` for a line that never fires again."""
    return next(_moments(trigger, after_ms), None)


def look(trigger: CronTrigger, after_ms: int | None, now_ms: int) -> Schedule:
    """What is due at `now_ms`; `after_ms` is what was dealt with already, `None` = the schedule was never seen."""
    name = trigger_name(trigger)
    if after_ms is None or after_ms >= now_ms:
        return Schedule(name, ())
    due = due_times(trigger, after_ms, now_ms, MOST_COUNTED)
    more = len(due) == MOST_COUNTED
    if more:
        latest = latest_due(trigger, due[-1], now_ms)
        more = latest is not None
        due += [] if latest is None else [latest]
    return Schedule(name, tuple(Moment(at_ms, label(trigger, at_ms)) for at_ms in due), more)


def label(trigger: CronTrigger, at_ms: int) -> str:
    """The moment as its author's clock shows it, `2026-03-29T03:00+02:00`."""
    return datetime.fromtimestamp(at_ms / 1000, _zone(trigger)).isoformat(timespec="minutes")


def _moments(trigger: CronTrigger, after_ms: int) -> Iterator[int]:
    from cronsim import CronSim  # lazy: only loops with a schedule pay for it

    last_ms = after_ms
    start = datetime.fromtimestamp(after_ms // 1000, _zone(trigger))
    for moment in CronSim(trigger.expression, start):
        at_ms = int(moment.timestamp()) * 1000
        # Wall-clock time goes back in autumn, and in spring two lines can meet right after the gap: each moment counts once.
        if at_ms > last_ms:
            yield at_ms
            last_ms = at_ms


def _zone(trigger: CronTrigger) -> tzinfo:
    return UTC if trigger.timezone == "UTC" else ZoneInfo(trigger.timezone)
