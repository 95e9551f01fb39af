"""What a run's exit code says, for each reason that it can end for (the contract's table)."""

from typing import Final

from loopwright.kernel.values import StopReason

__all__ = ["EXIT_CODES"]

EXIT_CODES: Final[dict[StopReason, int]] = {
    "goal": 0,
    "nothing_to_do": 0,
    "iterations": 4,
    "minutes": 4,
    "usd": 4,
    "tokens": 4,
    "plateau": 5,
    "diminishing": 5,
    "drift": 5,
    "noise": 5,
    "cycle": 5,
    "repeated_error": 5,
    "exhausted": 5,
    "disagreement": 1,
    "error_rate": 1,
    "cannot_observe": 2,
    "failed": 1,
    "impossible": 1,
    "refused": 6,
    "integrity": 7,
    "stopped": 130,
}
