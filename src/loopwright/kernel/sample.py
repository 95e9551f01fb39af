"""One run of a metric's command, as a value. A crash and a missing line are a status here, never a number."""

from typing import Literal

from loopwright.kernel.values import BlobRef, Value

__all__ = ["Reading", "Sample"]


class Reading(Value, frozen=True):
    """One number that the command printed, in its own unit; always finite."""

    name: str
    value: float


class Sample(Value, frozen=True):
    """`value` is there exactly when `status` is `ok`, in the metric's own unit; `others` are the further numbers of its bounds.

    `missing`: the line never came. `invalid`: it came and is no finite number. `output` is the end of what the command printed.
    """

    status: Literal["ok", "crash", "timeout", "missing", "invalid"]
    value: float | None = None
    others: tuple[Reading, ...] = ()
    message: str = ""
    wall_ms: int = 0
    output: BlobRef | None = None
