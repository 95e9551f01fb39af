"""What a metric loop keeps of its measurements. Every tuple here is bounded: ten thousand candidates leave it as long as ten do.

Values stand as the command printed them, in the metric's own unit; only `Noise`, `Slip` and `gains` are differences.
"""

from typing import Final, Literal

from loopwright.kernel.values import Value

__all__ = [
    "FRESH_WINDOW",
    "Account",
    "Contradiction",
    "Failure",
    "Held",
    "Noise",
    "Passed",
    "Previous",
    "Ratchet",
    "Run",
    "Slip",
    "Trial",
    "start",
]

FRESH_WINDOW: Final = 12
"""Runs of the head that the screen compares with: older ones tell of a machine as it was."""


class Run(Value, frozen=True):
    """One good run: the metric, and the readings of the loop's bounds in their order."""

    value: float
    others: tuple[float, ...] = ()


class Failure(Value, frozen=True):
    status: Literal["crash", "timeout", "missing", "invalid"]
    message: str


class Noise(Value, frozen=True):
    """Standard deviation of one run, from `dof` degrees of freedom."""

    sd: float = 0.0
    dof: int = 0


class Trial(Value, frozen=True):
    """The measurements of one proposal. `screen` is its first run, which only says whether pairs are worth their cost: `candidates`
    and `heads` hold the interleaved pairs and nothing else."""

    proposal_id: str
    screen: Run | None = None
    candidates: tuple[Run, ...] = ()
    heads: tuple[Run, ...] = ()
    failure: Failure | None = None
    head_failure: Failure | None = None
    head_failures: int = 0


class Account(Value, frozen=True):
    """The run's budget of false keeps: `spent` by `tests` tests, `since` of them after the last of the `discoveries`."""

    tests: int = 0
    discoveries: int = 0
    spent: float = 0.0
    since: int = 0


class Slip(Value, frozen=True):
    """What simplifications may have cost since the last real gain: the sum of their estimates and its standard error."""

    total: float = 0.0
    error: float = 0.0


class Passed(Value, frozen=True):
    """A candidate that may be kept: what it measured first, and the slip that keeping it means; `None` = a gain."""

    value: float
    slip: Slip | None
    proposal_id: str | None = None


class Previous(Value, frozen=True):
    """The head before the last keep: its latest runs, and what took its place (`simpler`: not a gain, as good and shorter)."""

    values: tuple[float, ...] = ()
    proposal_id: str | None = None
    simpler: bool = False


class Contradiction(Value, frozen=True):
    """A keep after which fresh runs were clearly worse. `new` and `old` are means of `new_runs` and `old_runs` runs, after and before;
    `loss` is positive, `error` its standard error, `allowed` what the keep was allowed to lose, all in the metric's unit."""

    keep: int
    proposal_id: str | None
    new: float
    new_runs: int
    old: float
    old_runs: int
    loss: float
    error: float
    allowed: float


class Held(Value, frozen=True):
    """Holdout runs of one head."""

    values: tuple[float, ...] = ()
    failures: int = 0


class Ratchet(Value, frozen=True):
    """`base`: calibration runs of the unchanged base; `fresh`: the latest runs of the current head; `confirm`: those that were made
    because it is the head and for no other reason, which alone may claim a gain. `noises`: the metric's, then the bounds'."""

    base_tree: str | None = None
    head_tree: str | None = None
    noisy: bool = False
    base: tuple[Run, ...] = ()
    base_failures: tuple[Failure, ...] = ()
    confirm: tuple[Run, ...] = ()
    confirm_failures: tuple[Failure, ...] = ()
    fresh: tuple[Run, ...] = ()
    noises: tuple[Noise, ...] = ()
    trial: Trial | None = None
    account: Account = Account()
    slip: Slip = Slip()
    passed: tuple[Passed, ...] = ()
    expected: tuple[float, ...] = ()
    kept: int = 0
    before: float | None = None
    gains: tuple[float, ...] = ()
    holdout: Held = Held()
    holdout_before: Held = Held()
    holdout_top: Held = Held()
    falls: int = 0
    final_base: tuple[float, ...] = ()
    final_head: tuple[float, ...] = ()
    final_failures: int = 0
    previous: Previous | None = None
    contradiction: Contradiction | None = None


def start() -> Ratchet:
    """Nothing measured."""
    return Ratchet()
