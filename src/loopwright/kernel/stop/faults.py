"""Ends by failure: the same error again and again, or too many of any kind."""

from typing import Final

from loopwright.kernel.state import Ending, State

__all__ = ["MARKS_FOR_RATE", "error_rate", "repeated_error"]

MARKS_FOR_RATE: Final = 10


def repeated_error(state: State) -> Ending | None:
    """The same error signature in the last `stop.repeated_error` actions of its beat (default 3).

    Two errors have one signature when they differ in numbers and places only. A success in between, a person's `resume` and a new rung
    begin the count anew.
    """
    limit = state.loop.stop.repeated_error
    if limit is None or len(state.marks) < max(limit, 1):
        return None
    last = state.marks[-max(limit, 1) :]
    if last[0].status != "ok" and all(mark.same_as(last[0]) for mark in last):
        return Ending("repeated_error", f"{limit} times in a row: {last[-1].message}")
    return None


def error_rate(state: State) -> Ending | None:
    """More than `stop.error_rate` of the last 10 actions failed (default one half). Successes are counted as well as failures: a monitor
    that sees failures only would end every long run."""
    limit = state.loop.stop.error_rate
    if limit is None or len(state.marks) < MARKS_FOR_RATE:
        return None
    failed = len([mark for mark in state.marks if mark.status != "ok"])
    if failed > limit * len(state.marks):
        return Ending("error_rate", f"{failed} of the last {len(state.marks)} actions failed")
    return None
