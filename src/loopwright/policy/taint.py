"""The trail: by which calls untrusted or private data came into the run. It is for the person's screen; no rule decides by it.

Taint is assumed always: a decision that waited for the first untrusted read would be one forgotten label away from harm.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from loopwright.kernel.calls import Taint
from loopwright.policy.values import PastCall, ToolSpec

__all__ = ["merged", "taint_of", "trail"]

_LONGEST: Final = 20


def taint_of(spec: ToolSpec) -> Taint:
    """What a call of this tool brings in, by its labels."""
    free = spec.untrusted_output or any(field.trust == "free" for field in spec.output)
    private = spec.private_output or any(field.private for field in spec.output)
    return ("both" if private else "untrusted") if free else ("private" if private else "none")


def merged(one: Taint, other: Taint) -> Taint:
    if one == other or other == "none":
        return one
    return other if one == "none" else "both"


def trail(past: Sequence[PastCall], first: Iterable[str] = ()) -> tuple[str, ...]:
    """Ids of the calls that brought something in, at most twenty: those of `first`, then the earliest."""
    tainting = [call.call_id for call in past if call.taint != "none"]
    ordered = dict.fromkeys([*(c for c in first if c in tainting), *tainting])
    return tuple(ordered)[:_LONGEST]
