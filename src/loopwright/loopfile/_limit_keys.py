"""The keys that hold a loop in: `evaluate`, `stop`, `budget`, `permit`. One class a mapping, one line a key."""

from dataclasses import dataclass
from typing import Literal

from loopwright.kernel.loop import (
    EvaluatePolicy,
    Metric,
    MetricBound,
    Permit,
    Review,
    StopRules,
)
from loopwright.kernel.values import Budget
from loopwright.loopfile._grammars import HOST, MODEL, SECRET
from loopwright.loopfile._kinds import COMMAND, LINE, NAME, PATTERN, YES_NO, Choice, OneOrMore, WordOr
from loopwright.loopfile._numbers import count, fraction, minutes_as_ms, real, size, usd_as_micros
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
    "pytest.toml",
    "sitecustomize.py",
    "usercustomize.py",
    "*.pth",
    "pytest.py",
    "_pytest/",
    "unittest.py",
    ".github/",
)
"""What decides whether tests pass, besides the code: whoever may edit these can pass without repairing anything."""


_RUNS = count("runs", most=1000, zero="leave the key out for the default")
_PAIRS = count("pairs", most=1000, zero="leave the key out for the default")


# --- evaluate ---------------------------------------------------------------------------------------------------------
_GOAL: dict[str, Literal["min", "max"]] = {"min": "min", "max": "max"}


class BoundKeys(Table):
    name = Key(LINE, "The number's name, as in `name`.", required=True)
    goal = Key(Choice(_GOAL), "Whether less or more is better.", required=True)
    worse_by = Key(size("a number"), "By how much it may get worse, in its own unit.", required=True)


def _bound(fields: Fields) -> MetricBound:
    return MetricBound(fields[BoundKeys.name], fields[BoundKeys.goal], fields[BoundKeys.worse_by])


class MetricKeys(Table):
    run = Key(COMMAND, "The command that prints the metric.", required=True)
    name = Key(LINE, "The metric's name in the line `METRIC name=1.5` or `name: 1.5`.", required=True)
    goal = Key(Choice(_GOAL), "Whether less or more is better.", required=True)
    min_effect = Key(
        size("a number"), "The smallest difference worth keeping, in the metric's unit.", absent="what the noise allows"
    )
    timeout_minutes = Key(COMMAND_TIME, "The longest the command may run.", absent="`action_minutes`")
    target = Key(real("a number"), "The value at which the goal is met.", absent="there is always something to gain")
    bounds = Key(
        ListOf(Record(BoundKeys, _bound), "bounds", least=1),
        "Further numbers that the command prints and that must not get worse.",
        absent="no bound",
    )
    holdout = Key(
        COMMAND,
        "A command that prints the metric on data that no proposer sees; measured after each keep.",
        absent="none",
    )
    calibrate = Key(_RUNS, "Runs of the unchanged code that measure the noise.", default=8)
    pairs = Key(_PAIRS, "The most pairs of runs, with and without a change, to decide on it.", default=24)
    false_keeps = Key(
        fraction(one_excluded=True), "The share of the keeps that noise may cause, over a whole run.", default=0.1
    )
    simpler = Key(YES_NO, "Keep what changes nothing that can be measured and makes the code shorter.", default=True)


def _metric(fields: Fields) -> Metric:
    return Metric(
        run=fields[MetricKeys.run],
        name=fields[MetricKeys.name],
        goal=fields[MetricKeys.goal],
        min_effect=fields.get(MetricKeys.min_effect),
        timeout_s=fields.get(MetricKeys.timeout_minutes),
        target=fields.get(MetricKeys.target),
        bounds=fields.get(MetricKeys.bounds) or (),
        holdout=fields.get(MetricKeys.holdout),
        calibrate=fields[MetricKeys.calibrate],
        pairs=fields[MetricKeys.pairs],
        false_keeps=fields[MetricKeys.false_keeps],
        simpler=fields[MetricKeys.simpler],
    )


class ReviewKeys(Table):
    run = Key(COMMAND, "A command that reviews the change.", absent="no command")
    model = Key(MODEL, "A model that reviews the change.", absent="no model")
    independent = Key(YES_NO, "The reviewer must be of another model family than the author.", default=False)
    gate = Key(YES_NO, "Its objection stops the change; otherwise it is only noted.", default=False)
    family = Key(NAME, "The family of the model that the command asks; `none` when it asks none.", absent="not known")
    timeout_minutes = Key(COMMAND_TIME, "The longest a review may take.", absent="`action_minutes`")


def _review(fields: Fields) -> Review:
    return Review(
        run=fields.get(ReviewKeys.run),
        model=fields.get(ReviewKeys.model),
        independent=fields[ReviewKeys.independent],
        gate=fields[ReviewKeys.gate],
        family=fields.get(ReviewKeys.family),
        timeout_s=fields.get(ReviewKeys.timeout_minutes),
    )


_TAMPER: dict[str, Literal["ask", "refuse", "note"]] = {"ask": "ask", "refuse": "refuse", "note": "note"}
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
    review = Key(OneOrMore(REVIEW, "reviews"), "A second opinion on a change, or several.", absent="no review")
    tamper = Key(
        Choice(_TAMPER),
        "What becomes of an edit that looks like cheating: a person is asked, it is refused, or noted.",
        default="ask",
    )
    max_files = Key(count("files"), "The most files that a change may touch.", absent="no limit")
    max_lines = Key(count("lines"), "The most lines that a change may add and remove.", absent="no limit")
    changed_lines = Key(
        fraction(one_excluded=False),
        "The least share of the changed lines that the tests must run.",
        absent="it is only noted",
    )


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
        review=fields.get(EvaluateKeys.review),
        protect=protect,
        holdout=fields.get(EvaluateKeys.holdout),
        tamper=fields[EvaluateKeys.tamper],
        max_files=fields.get(EvaluateKeys.max_files),
        max_lines=fields.get(EvaluateKeys.max_lines),
        changed_lines=fields.get(EvaluateKeys.changed_lines),
    )


# --- limits -----------------------------------------------------------------------------------------------------------
_PLATEAU: WordOr[int | Literal["auto"] | None] = WordOr(
    "none", None, WordOr("auto", "auto", count("iterations", zero="write none to switch the rule off"))
)


def _or_none(noun: str) -> WordOr[int | None]:
    return WordOr("none", None, count(noun, zero="write none to switch the rule off"))


class StopKeys(Table):
    iterations = Key(count("iterations", zero="leave the key out for 20"), "The most iterations of a run.", default=20)
    minutes = Key(
        minutes_as_ms(zero="leave the key out for 30"), "The longest a run may take.", default=1_800_000, absent="30"
    )
    plateau = Key(
        _PLATEAU,
        "Stop after this many iterations in a row without a keep; `auto`: when one would have come by now.",
        default="auto",
    )
    repeated_error = Key(
        WordOr("none", None, count("errors", zero="write none to switch the rule off")),
        "Stop when the same error comes this many times in a row; `none` switches the rule off.",
        default=3,
    )
    error_rate = Key(
        WordOr("none", None, fraction(one_excluded=False)),
        "Stop when more than this share of the recent actions failed; `none` switches the rule off.",
        default=0.5,
    )
    cycle = Key(
        _or_none("repeats"),
        "Stop when the same steps were repeated this many times; `none` switches the rule off.",
        default=3,
    )
    drift = Key(
        _or_none("keeps"),
        "Stop when what is held out fell in this many keeps in a row while the metric rose; `none` switches the rule off.",
        default=2,
    )
    disagreements = Key(
        _or_none("iterations"),
        "Ask a person when the judges contradicted each other in this many iterations in a row; `none` switches the rule off.",
        default=2,
    )
    denials = Key(
        _or_none("calls"),
        "Stop when the policy refused this many calls since the last keep; `none` switches the rule off.",
        default=2,
    )
    worth_usd = Key(
        size("a number of US dollars"),
        "What one unit of the metric is worth: the run ends when an iteration brings less than it costs.",
        absent="not known",
    )


@dataclass(frozen=True, slots=True)
class Stop:
    """`stop` holds caps too, which the kernel keeps in the budget."""

    rules: StopRules
    iterations: int
    wall_ms: int


def _stop(fields: Fields) -> Stop:
    worth_usd = fields.get(StopKeys.worth_usd)
    plateau = fields.get(StopKeys.plateau)
    rules = StopRules(
        plateau=plateau,
        repeated_error=fields.get(StopKeys.repeated_error),
        error_rate=fields.get(StopKeys.error_rate),
        worth_usd_micros=None if worth_usd is None else worth_usd * 1e6,
        cycle=fields.get(StopKeys.cycle),
        drift=fields.get(StopKeys.drift),
        disagreements=fields.get(StopKeys.disagreements),
        denials=fields.get(StopKeys.denials),
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
