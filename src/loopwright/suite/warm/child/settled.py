"""One run of a candidate, and a second look at what decides against it: a cold run must come to the same.

The second look runs the suite in its own order, as a cold run does. What failed only because it stood too far in front, or alone, or
for want of memory that a cold run has, or now and then, decides nothing.
"""

from typing import Any

from .collected import Collected
from .forked import Ended
from .runs import Run, order_of

__all__ = ["AGAIN", "UNSURE", "second", "settled", "told"]

_Record = dict[str, Any]

UNSURE = frozenset({"failed", "died", "stopped", "stalled"})
"""Ends that count when they come again."""
AGAIN = UNSURE | {"hung"}
"""Ends of a second run that confirm the first."""
_SHORT = ("MemoryError", "Cannot allocate memory", "can't start new thread", "Resource temporarily unavailable")


def settled(collected: Collected, run: Run) -> "_Record | None":
    """`None` in a child, which goes on to run tests."""
    ended = collected.run(run)
    if ended is None:
        return None
    record = told(ended)
    order = order_of(collected.items, collected.head, run)
    at = order[ended.at].nodeid if 0 <= ended.at < len(order) else None
    if record["end"] in ("died", "hung"):
        record["cases"] = [{"id": at, "status": "error", "message": ""}] if at else []
    if record["end"] in UNSURE:
        again = collected.run(second(record, run))
        if again is None:
            return None
        if told(again)["end"] not in AGAIN:
            record["end"] = "unsure"
        record["cpu_ms"] += again.cpu_ms
    return record


def second(record: _Record, run: Run) -> Run:
    """The run that must come to the same end as the one that left `record`."""
    if record["end"] == "stalled":
        return Run(swap=run.swap, first=run.first, stalled=True)
    if record["cases"]:
        return Run(swap=run.swap, first=run.first, until=record["cases"][0]["id"])
    return Run(swap=run.swap, all=True)


def told(ended: Ended) -> _Record:
    if ended.record is None:
        end = "hung" if ended.hung else "unsure" if ended.large else "died"
        return {"end": end, "cases": [], "fixed": [], "ran": max(0, ended.at), "cpu_ms": ended.cpu_ms}
    record = {**ended.record, "cpu_ms": ended.cpu_ms}
    short = any(word in case["message"] for case in record["cases"] for word in _SHORT)
    if record["end"] in UNSURE | {"uncollected"} and (ended.large or short):
        record["end"] = "unsure"
    return record
