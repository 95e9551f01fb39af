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
    "Check",
    "Decision",
    "Deliver",
    "Effect",
    "Escalate",
    "Evaluate",
    "Keep",
    "KeepProposal",
    "MakePlan",
    "Measure",
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
    "plateau",  # no keep in so many iterations that another one is not to be expected
    "diminishing",  # what an iteration brings is worth less than what it costs
    "drift",  # the metric rises while what was held out falls
    "noise",  # the metric is too noisy for the difference that is asked for
    "disagreement",  # the judges disagreed again and again, and a person ended it
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
    """A set of file changes that one rung offers. `digest` identifies the changes, so that the same edit is never judged twice.

    `family` is that of the model that made it (`none` = no model made it, `None` = nobody said); `added_lines` and `removed_lines`
    are counted by the runtime from the diff, `None` where they were not.
    """

    id: str
    rung: str
    title: str
    rationale: str
    changes: tuple[Change, ...]
    digest: str
    diff: BlobRef | None = None
    family: str | None = None
    added_lines: int | None = None
    removed_lines: int | None = None


class Verdict(Value, frozen=True):
    """What a verifier that the runtime ran itself says of a proposal. `score`: larger is better; `None` = this verifier does not score.

    `ask`: a person must look at it before it can be kept. `advisory`: it is shown and decides nothing.
    """

    verifier: str
    status: Literal["pass", "fail", "inconclusive", "crash", "ask"]
    summary: str
    score: float | None = None
    evidence: BlobRef | None = None
    advisory: bool = False


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


class Check(Value, frozen=True, tag="check"):
    """A proposer says that it is done: its word decides nothing, the verifiers look at the head again and the answer goes back to it."""


Decision = Keep | Revert | Retry | Escalate | Stop | Check


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
    """`check`: what the runtime runs itself. `review`: the judges, asked only of what passed everything else."""

    tree: str
    proposal_id: str
    stage: Literal["check", "review"] = "check"


class Measure(Value, frozen=True, tag="measure"):
    """One run of the metric's command in a fresh checkout of `tree`, with the proposal applied when there is one.

    `purpose`: `calibrate` the base's noise, a `trial` of a proposal (of its candidate, or of the head beside it when `proposal_id` is
    `None`), `confirm` a new head from fresh runs, a `holdout` run of the second command, or the `final` comparison of base and head.
    """

    tree: str
    proposal_id: str | None
    purpose: Literal["calibrate", "trial", "confirm", "holdout", "final"]


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


Work = Observe | MakePlan | Propose | Evaluate | Measure | KeepProposal | Deliver


class Action(Value, frozen=True):
    """A step with effects. `id` is unique in its run and is the idempotency key; a repeated attempt gets a new id."""

    id: str
    effect: Effect
    work: Work
    timeout_s: int
