"""The keys that hold a loop in: `evaluate`, `stop`, `budget`, `permit`. One class a mapping, one line a key."""

from dataclasses import dataclass
from typing import Literal

from loopwright.kernel.loop import (
    EvaluatePolicy,
    Metric,
    Permit,
    Review,
    StopRules,
)
from loopwright.kernel.values import Budget
from loopwright.loopfile._grammars import HOST, MODEL, SECRET
from loopwright.loopfile._kinds import COMMAND, LINE, PATTERN, YES_NO, Choice, WordOr
from loopwright.loopfile._numbers import count, fraction, minutes_as_ms, size, usd_as_micros
from loopwright.loopfile._table import Fields, Key, ListOf, Record, Table
from loopwright.loopfile._work_keys import COMMAND_TIME, PATTERNS, TESTS
from loopwright.workspace.patterns import anchored

__all__ = ["BUDGET", "DEFAULT_PROTECT", "EVALUATE", "PERMIT", "STOP", "Stop"]

DEFAULT_PROTECT = (
    "tests/",
    "test/",
    "conftest.py",
    "**/conftest.py",
    "test_*.py",
    "**/test_*.py",
    "*_test.py",
    "**/*_test.py",
    "pytest.ini",
    "tox.ini",
    "setup.cfg",
    "pyproject.toml",
    "noxfile.py",
    ".github/",
)
"""What decides whether tests pass, besides the code: whoever may edit these can pass without repairing anything."""


# --- evaluate ---------------------------------------------------------------------------------------------------------
_GOAL: dict[str, Literal["min", "max"]] = {"min": "min", "max": "max"}


class MetricKeys(Table):
    run = Key(COMMAND, "The command that prints the metric.", required=True)
    name = Key(LINE, "The metric's name in the line `METRIC name=1.5` or `name: 1.5`.", required=True)
    goal = Key(Choice(_GOAL), "Whether less or more is better.", required=True)
    min_effect = Key(
        size("a number"), "The smallest difference worth keeping, in the metric's unit.", absent="what the noise allows"
    )
    timeout_minutes = Key(COMMAND_TIME, "The longest the command may run.", absent="`action_minutes`")


def _metric(fields: Fields) -> Metric:
    return Metric(
        run=fields[MetricKeys.run],
        name=fields[MetricKeys.name],
        goal=fields[MetricKeys.goal],
        min_effect=fields.get(MetricKeys.min_effect),
        timeout_s=fields.get(MetricKeys.timeout_minutes),
    )


class ReviewKeys(Table):
    run = Key(COMMAND, "A command that reviews the change.", absent="no command")
    model = Key(MODEL, "A model that reviews the change.", absent="no model")
    independent = Key(YES_NO, "The reviewer must be of another model family than the author.", default=False)
    gate = Key(YES_NO, "Its objection stops the change; otherwise it is only noted.", default=False)


def _review(fields: Fields) -> Review:
    return Review(
        run=fields.get(ReviewKeys.run),
        model=fields.get(ReviewKeys.model),
        independent=fields[ReviewKeys.independent],
        gate=fields[ReviewKeys.gate],
    )


REVIEW = Record(ReviewKeys, _review, any_of=(ReviewKeys.run, ReviewKeys.model))


class EvaluateKeys(Table):
    tests = Key(TESTS, "The tests that must pass.", absent="`metric` is needed")
    metric = Key(Record(MetricKeys, _metric), "The number that must get better.", absent="`tests` is needed")
    guard = Key(TESTS, "Tests that must keep passing while the metric gets better.", absent="no guard")
    protect = Key(
        ListOf(PATTERN, "path patterns"),
        "Paths put back before every scoring.",
        absent="with `tests` or `guard` the test files, else none",
    )
    holdout = Key(
        fraction(one_excluded=True), "The share of the tests that proposers never see.", absent="none is held out"
    )
    review = Key(REVIEW, "A second opinion on a change.", absent="no review")


def _evaluate(fields: Fields) -> EvaluatePolicy:
    tests, metric, guard = (
        fields.get(EvaluateKeys.tests),
        fields.get(EvaluateKeys.metric),
        fields.get(EvaluateKeys.guard),
    )
    protect = fields.get(EvaluateKeys.protect)
    if protect is None:
        protect = DEFAULT_PROTECT if tests is not None or guard is not None else ()
    return EvaluatePolicy(
        tests=tests,
        metric=metric,
        guard=guard,
        review=(fields.get(EvaluateKeys.review),) if fields.get(EvaluateKeys.review) else None,
        protect=protect,
        holdout=fields.get(EvaluateKeys.holdout),
    )


# --- limits -----------------------------------------------------------------------------------------------------------
class StopKeys(Table):
    iterations = Key(count("iterations", zero="leave the key out for 20"), "The most iterations of a run.", default=20)
    minutes = Key(
        minutes_as_ms(zero="leave the key out for 30"), "The longest a run may take.", default=1_800_000, absent="30"
    )
    plateau = Key(count("iterations"), "Stop after this many iterations in a row without a keep.", absent="never")
    repeated_error = Key(
        WordOr("none", None, count("errors", zero="write none to switch the rule off")),
        "Stop when the same error comes this many times in a row; `none` switches the rule off.",
        default=3,
    )
    error_rate = Key(
        WordOr("none", None, fraction(one_excluded=False)),
        "Stop when this share of the recent actions failed; `none` switches the rule off.",
        default=0.5,
    )


@dataclass(frozen=True, slots=True)
class Stop:
    """`stop` holds caps too, which the kernel keeps in the budget."""

    rules: StopRules
    iterations: int
    wall_ms: int


def _stop(fields: Fields) -> Stop:
    rules = StopRules(
        fields.get(StopKeys.plateau), fields.get(StopKeys.repeated_error), fields.get(StopKeys.error_rate)
    )
    return Stop(rules, fields[StopKeys.iterations], fields[StopKeys.minutes])


class BudgetKeys(Table):
    usd = Key(usd_as_micros(), "The most dollars that a run may spend.", absent="no limit")
    tokens = Key(count("tokens", most=10**12), "The most tokens that a run may spend.", absent="no limit")


def _budget(fields: Fields) -> Budget:
    return Budget(usd_micros=fields.get(BudgetKeys.usd), tokens=fields.get(BudgetKeys.tokens))


class PermitKeys(Table):
    network = Key(
        WordOr("none", "none", ListOf(HOST, "host names", least=1)),
        "The hosts of the policy file that may be reached, by exact name.",
        default="none",
    )
    write = Key(
        PATTERNS,
        "The files that may be changed, from the root on; a protected one never.",
        absent="every file that is not protected",
    )
    secrets = Key(
        ListOf(SECRET, "names of secrets"),
        "The secrets of the policy file that actors may use, by name.",
        absent="none",
    )


def _permit(fields: Fields) -> Permit:
    network = fields[PermitKeys.network]
    return Permit(
        network=network if isinstance(network, tuple) else "none",
        write=anchored(fields.get(PermitKeys.write) or ()),
        secrets=fields.get(PermitKeys.secrets) or (),
    )


EVALUATE = Record(EvaluateKeys, _evaluate, any_of=(EvaluateKeys.tests, EvaluateKeys.metric))
STOP = Record(StopKeys, _stop)
BUDGET = Record(BudgetKeys, _budget)
PERMIT = Record(PermitKeys, _permit)
