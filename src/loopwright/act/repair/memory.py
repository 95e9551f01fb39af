"""What the repair rung keeps for itself between two calls for the same head, and what it leaves to the next rung."""

from loopwright.kernel.values import BlobRef, Value

__all__ = ["Failure", "Findings", "Memory", "NearMiss", "Partial", "SuspiciousLine"]


class Partial(Value, frozen=True):
    """An edit, by its place in the order, that makes only some of the failing tests pass."""

    index: int
    passes: tuple[str, ...]


class Memory(Value, frozen=True):
    """Where the search stands: `position` is the first index of the deterministic order that was not screened.

    `partial` are those before it that were not offered yet. `settings` is a digest of all that fixes the order; with another one the
    position means nothing.
    """

    settings: str
    position: int = 0
    partial: tuple[Partial, ...] = ()
    spectra: BlobRef | None = None
    screened: int = 0


class SuspiciousLine(Value, frozen=True):
    path: str
    line: int
    score: float
    text: str


class NearMiss(Value, frozen=True):
    """An edit that makes some of the failing tests pass, not all."""

    path: str
    line: int
    operator: str
    before: str
    after: str
    passes: tuple[str, ...]


class Failure(Value, frozen=True):
    test: str
    message: str


class Findings(Value, frozen=True):
    """`screened` counts all edits tried for this head, in all calls."""

    how: str
    failures: tuple[Failure, ...]
    lines: tuple[SuspiciousLine, ...]
    screened: int
    near_misses: tuple[NearMiss, ...]
