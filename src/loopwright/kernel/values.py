"""The nouns of a loop, as frozen values. Nothing here does I/O or knows a clock.

Units stand in the names: `usd_micros` is a millionth of a US dollar, `_ms` milliseconds, `_s` seconds. In every limit `None`
means "not limited" and `0` means "nothing left"; no number means "unlimited".
"""

from typing import Literal

import msgspec

__all__ = [
    "Action",
    "BlobRef",
    "Budget",
    "Change",
    "Decision",
    "Deliver",
    "Effect",
    "Escalate",
    "Evaluate",
    "Keep",
    "KeepProposal",
    "MakePlan",
    "Observation",
    "Observe",
    "Phase",
    "Plan",
    "Proposal",
    "Propose",
    "Retry",
    "Revert",
    "Spend",
    "Stop",
    "StopReason",
    "Value",
    "Verdict",
    "Work",
]


class Value(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """Base of everything that can stand in the journal: immutable, typed, no unknown field on decode.

    Immutable values can form no cycle, so the garbage collector need not look at them (`gc=False`): folds are a fifth faster.
    """


Effect = Literal["read", "write", "external"]
"""What an action can touch: nothing (`read`), only what the runtime owns and can throw away or redo (`write`), the world (`external`)."""

Phase = Literal["new", "observing", "planning", "acting", "evaluating", "keeping", "delivering", "closing", "finished"]

StopReason = Literal[
    "goal",  # the verifiers pass on the kept state
    "nothing_to_do",  # they passed before anything was tried
    "iterations",
    "minutes",
    "usd",
    "tokens",
    "plateau",  # no keep in the declared number of iterations
    "cycle",  # proposals repeat a state that was already judged
    "repeated_error",  # the same error signature again and again
    "exhausted",  # every rung has nothing more to propose
    "error_rate",
    "cannot_observe",  # the very first observation is impossible: the input is at fault
    "failed",  # a beat cannot be performed at all
    "impossible",  # a proposer declared the goal impossible and a person agreed
    "refused",  # policy
    "integrity",
    "stopped",  # a person stopped the run
]


class BlobRef(Value, frozen=True):
    """Content by its hash. Small text travels inline, the rest lies in the blob store under `sha256` (hex of the raw bytes)."""

    sha256: str
    size_bytes: int
    media_type: str = "text/plain"
    inline: str | None = None


class Spend(Value, frozen=True):
    """What something cost."""

    usd_micros: int = 0
    tokens: int = 0
    wall_ms: int = 0
    iterations: int = 0

    def plus(self, other: "Spend") -> "Spend":
        return Spend(
            self.usd_micros + other.usd_micros,
            self.tokens + other.tokens,
            self.wall_ms + other.wall_ms,
            self.iterations + other.iterations,
        )


class Budget(Value, frozen=True):
    """What may still be spent. `None` is not limited, `0` is nothing left."""

    usd_micros: int | None = None
    tokens: int | None = None
    wall_ms: int | None = None
    iterations: int | None = None

    def minus(self, spend: Spend) -> "Budget":
        """What is left after `spend`; an overdraft leaves 0, never a negative number."""
        return Budget(
            _less(self.usd_micros, spend.usd_micros),
            _less(self.tokens, spend.tokens),
            _less(self.wall_ms, spend.wall_ms),
            _less(self.iterations, spend.iterations),
        )

    def narrowed(self, other: "Budget") -> "Budget":
        """The tighter of the two in every unit: a grant can only narrow."""
        return Budget(
            _tighter(self.usd_micros, other.usd_micros),
            _tighter(self.tokens, other.tokens),
            _tighter(self.wall_ms, other.wall_ms),
            _tighter(self.iterations, other.iterations),
        )

    def short_of(self, reserve: Spend) -> Literal["usd", "tokens"] | None:
        """The first unit of money that is used up or cannot cover `reserve`; `None` when the action may start."""
        if self.usd_micros is not None and (self.usd_micros <= 0 or self.usd_micros < reserve.usd_micros):
            return "usd"
        if self.tokens is not None and (self.tokens <= 0 or self.tokens < reserve.tokens):
            return "tokens"
        return None


def _less(limit: int | None, spent: int) -> int | None:
    return None if limit is None else max(0, limit - spent)


def _tighter(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return one if other is None else other
    return min(one, other)


class Observation(Value, frozen=True):
    """What a source saw of the head state. `goal_met` is `None` when the source cannot tell."""

    id: str
    source: str
    taken_at_ms: int
    content: BlobRef
    trust: Literal["trusted", "untrusted"]
    summary: str
    goal_met: bool | None = None


class Plan(Value, frozen=True):
    steps: tuple[str, ...]
    rationale: str


class Change(Value, frozen=True):
    """One file of a proposal, relative to the head tree. `content` is `None` exactly when the file is deleted.

    `path` uses `/`; `mode` is git's: 100644, 100755 or 120000 (then the content is the link's target).
    """

    path: str
    mode: Literal["100644", "100755", "120000"]
    content: BlobRef | None


class Proposal(Value, frozen=True):
    """A set of file changes that one rung offers. `digest` identifies the changes, so that the same edit is never judged twice."""

    id: str
    rung: str
    title: str
    rationale: str
    changes: tuple[Change, ...]
    digest: str
    diff: BlobRef | None = None


class Verdict(Value, frozen=True):
    """What a verifier that the runtime ran itself says of a proposal. `score`: larger is better; `None` = this verifier does not score."""

    verifier: str
    status: Literal["pass", "fail", "inconclusive", "crash"]
    summary: str
    score: float | None = None
    evidence: BlobRef | None = None


class Keep(Value, frozen=True, tag="keep"):
    proposal_id: str


class Revert(Value, frozen=True, tag="revert"):
    """Nothing of this iteration is kept; the head stays as it is."""


class Retry(Value, frozen=True, tag="retry"):
    """The verdicts of these proposals could not be trusted: judge them again."""

    proposal_ids: tuple[str, ...]


class Escalate(Value, frozen=True, tag="escalate"):
    """The next rung of the ladder takes over."""

    rung: int


class Stop(Value, frozen=True, tag="stop"):
    reason: StopReason


Decision = Keep | Revert | Retry | Escalate | Stop


class Observe(Value, frozen=True, tag="observe"):
    """Look at the head tree through every source of the loop."""

    tree: str


class MakePlan(Value, frozen=True, tag="plan"):
    tree: str
    rung: int


class Propose(Value, frozen=True, tag="propose"):
    tree: str
    rung: int
    batch: int


class Evaluate(Value, frozen=True, tag="evaluate"):
    tree: str
    proposal_id: str


class KeepProposal(Value, frozen=True, tag="keep"):
    """Make the proposal a commit on the run's branch, on top of `parent_commit`, with `committed_at_ms` as its date.

    Every input of the commit stands here, so doing it twice gives the same commit id: that is its idempotency.
    """

    proposal_id: str
    iteration: int
    parent_commit: str
    committed_at_ms: int


class Deliver(Value, frozen=True, tag="deliver"):
    how: Literal["branch", "pull-request", "patch", "file"]
    head_commit: str


Work = Observe | MakePlan | Propose | Evaluate | KeepProposal | Deliver


class Action(Value, frozen=True):
    """A step with effects. `id` is unique in its run and is the idempotency key; a repeated attempt gets a new id."""

    id: str
    effect: Effect
    work: Work
    timeout_s: int
