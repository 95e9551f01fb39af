"""What the broker raises. No message here ever carries a value, only the names of secrets and where they come from."""

from loopwright.errors import LoopwrightError, UsageError

__all__ = ["CanarySeen", "SecretRefused", "SecretUnavailable"]


class SecretUnavailable(UsageError):
    """A declared secret has no usable value: its source is missing, locked, readable by others, or holds something else."""


class SecretRefused(LoopwrightError):
    """A secret was asked for where it must not go. `rule` is a stable name, `remedy` the smallest change that allows it."""

    exit_code = 6

    def __init__(self, rule: str, why: str, remedy: str) -> None:
        super().__init__(f"{why} [{rule}]; {remedy}")
        self.rule = rule
        self.why = why
        self.remedy = remedy


class CanarySeen(LoopwrightError):
    """A decoy that nobody has a reason to send was about to leave: whoever acts is hijacked, and the run must end.

    `canary` is its name, `where` the place in the request (`url`, `body`, `header x-note`, …). It was not sent.
    """

    exit_code = 7

    def __init__(self, canary: str, where: str) -> None:
        super().__init__(
            f"canary {canary!r}: a decoy that must never leave was found in the {where} of a request, which was not sent; "
            f"what this run did is in its log, treat all that it read as hostile"
        )
        self.canary = canary
        self.where = where
