"""What a warm screening says of a candidate."""

from dataclasses import dataclass
from typing import Literal

from loopwright.suite.report import TestCase

__all__ = ["Screened"]


@dataclass(frozen=True, slots=True)
class Screened:
    """`fail` is final: a test that passed on the head fails again when it is repeated, is gone, or nothing of what failed is fixed.
    `pass` only screens: what is kept needs a cold, complete, isolated run. `unknown`: the cold run must say.

    `mode` and `why`: how it was judged, and why in no cheaper way. `failed` are the cases that decided; `missing` those among the ids
    that passed on the head and are not collected any more. `end` says in words what ended it when no test did. `fixed`: failed on the
    head, passed here. `ran` counts tests; `cpu_ms` is `None` where a cold run cannot tell.
    """

    status: Literal["pass", "fail", "unknown"]
    mode: Literal["swap", "fork", "cold"]
    why: str
    failed: tuple[TestCase, ...] = ()
    missing: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()
    end: str = ""
    ran: int = 0
    cpu_ms: int | None = None
    wall_ms: int = 0
