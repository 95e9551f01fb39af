"""The loop as its author wrote it: structure as frozen values, the goal as text. Parsing and defaults live in `loopfile`.

Every key of the loop file has its value here, those included that a later version performs; the loop file says at run time what
is not available yet. Nothing here does I/O.
"""

from typing import Literal

from loopwright.kernel.values import Budget, Spend, Value

__all__ = [
    "AgentRung",
    "CliRung",
    "CommandRung",
    "CronTrigger",
    "EvaluatePolicy",
    "FileTrigger",
    "GitTrigger",
    "Loop",
    "Metric",
    "MetricBound",
    "MetricSource",
    "Permit",
    "RepairRung",
    "Review",
    "Rung",
    "Source",
    "StopRules",
    "TestsSource",
    "TextSource",
    "TicketTrigger",
    "Trigger",
    "TuneRung",
    "WebhookTrigger",
]


# --- when -------------------------------------------------------------------------------------------------------------
class CronTrigger(Value, frozen=True, tag="cron"):
    """`expression` has five fields; `timezone` is an IANA name."""

    expression: str
    timezone: str = "UTC"


class TicketTrigger(Value, frozen=True, tag="ticket"):
    """A folder of Markdown tickets, relative to the repository."""

    folder: str


class GitTrigger(Value, frozen=True, tag="git"):
    """New commits on a local branch."""

    branch: str


class FileTrigger(Value, frozen=True, tag="file"):
    glob: str


class WebhookTrigger(Value, frozen=True, tag="webhook"):
    path: str


Trigger = CronTrigger | TicketTrigger | GitTrigger | FileTrigger | WebhookTrigger


# --- observe ----------------------------------------------------------------------------------------------------------
class TestsSource(Value, frozen=True, tag="tests"):
    """A test command. `junit` is the report that it writes, relative to the checkout; pytest needs none."""

    __test__ = False

    run: str
    junit: str | None = None
    timeout_s: int | None = None


class MetricSource(Value, frozen=True, tag="metric"):
    run: str
    name: str


class TextSource(Value, frozen=True, tag="text"):
    """Sources that only give text: repository, tickets, schedule, http, documents. `of` is the kind, `where` its place."""

    of: Literal["repository", "tickets", "schedule", "http", "documents"]
    where: str


Source = TestsSource | MetricSource | TextSource


# --- act --------------------------------------------------------------------------------------------------------------
class RepairRung(Value, frozen=True, tag="repair"):
    """Search-based program repair, no model."""

    seconds: int | None = None
    """Search time of one iteration; `None` = the loop's action time-out decides."""


class TuneRung(Value, frozen=True, tag="tune"):
    """Knob search, no model."""

    edit: tuple[str, ...] = ()


class CommandRung(Value, frozen=True, tag="command"):
    """Any program. `reserve` is taken from the budget before it runs and settled with what it reports. `family` is the family of the
    model that it asks (`anthropic`, `openai`, …; `none` = it asks no model), as the loop's author says; `None` = nobody said."""

    run: str
    reserve: Spend = Spend()
    family: str | None = None


class AgentRung(Value, frozen=True, tag="agent"):
    model: str
    reserve: Spend = Spend()


class CliRung(Value, frozen=True, tag="cli"):
    name: str
    model: str | None = None
    reserve: Spend = Spend()


Rung = RepairRung | TuneRung | CommandRung | AgentRung | CliRung


# --- evaluate ---------------------------------------------------------------------------------------------------------
class MetricBound(Value, frozen=True):
    """A second number that the same command prints and that must not get worse by more than `worse_by`, in its own unit."""

    name: str
    goal: Literal["min", "max"]
    worse_by: float


class Metric(Value, frozen=True):
    """A number to make better. `min_effect`: the smallest difference worth keeping, in the metric's unit; `None` = what the noise
    allows. `target`: the goal is met once the kept state reaches it. `calibrate`: runs of the unchanged base that measure the noise.
    `pairs`: most interleaved candidate/head pairs of one test. `false_keeps`: the share of keeps that may be false, over the whole
    run. `simpler`: a change that is equal within the noise and takes more lines away than it adds is kept. `holdout`: a second
    command that prints the same metric on data that no proposer is shown."""

    run: str
    name: str
    goal: Literal["min", "max"]
    min_effect: float | None = None
    timeout_s: int | None = None
    target: float | None = None
    bounds: tuple[MetricBound, ...] = ()
    holdout: str | None = None
    calibrate: int = 8
    pairs: int = 24
    false_keeps: float = 0.1
    simpler: bool = True


class Review(Value, frozen=True):
    """A judge. `family`: that of a command judge's model, as the loop's author says; a `model` judge's is its provider."""

    run: str | None = None
    model: str | None = None
    independent: bool = False
    gate: bool = False
    family: str | None = None
    timeout_s: int | None = None


class EvaluatePolicy(Value, frozen=True):
    """How proposals are judged. `protect`: paths restored from the base before every scoring, whatever a proposal did to them.

    `holdout`: the share of the tests of which proposers see counts only. `tamper`: what a suspicious edit does: a person is asked, it
    is refused, or it is only noted. `max_files` and `max_lines` (added and removed) bound a proposal. `changed_lines`: the least share
    of the changed lines of code that the tests must run; `None` = it is only noted.
    """

    tests: TestsSource | None = None
    metric: Metric | None = None
    guard: TestsSource | None = None
    review: tuple[Review, ...] | None = None
    protect: tuple[str, ...] = ()
    holdout: float | None = None
    tamper: Literal["ask", "refuse", "note"] = "ask"
    max_files: int | None = None
    max_lines: int | None = None
    changed_lines: float | None = None


class StopRules(Value, frozen=True):
    """`None` = the rule is off. The caps of the budget stand in `Loop.budget`."""

    plateau: int | Literal["auto"] | None = "auto"
    """Stop after this many iterations in a row without a keep; `auto`: when a keep would have come by now with 95 %, from the rate
    of keeps that the run itself has shown."""
    repeated_error: int | None = 3
    error_rate: float | None = 0.5
    worth_usd_micros: float | None = None
    """What one unit of the metric is worth: with it the run ends when what an iteration brings is less than what it costs."""
    cycle: int | None = 3
    drift: int | None = 2
    """Stop when the holdout fell in this many keeps in a row while the metric rose."""
    disagreements: int | None = 2
    """Ask a person when the judges disagreed in this many iterations in a row."""
    denials: int | None = 2
    """Stop when the policy refused this many calls since the last keep."""


class Permit(Value, frozen=True):
    """What the loop's actors may touch. `write` empty = every file that is not protected."""

    network: Literal["none"] | tuple[str, ...] = "none"
    write: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()


class Loop(Value, frozen=True):
    name: str
    goal: str
    when: tuple[Trigger, ...]
    observe: tuple[Source, ...]
    act: tuple[Rung, ...]
    evaluate: EvaluatePolicy
    stop: StopRules
    budget: Budget
    permit: Permit
    deliver: Literal["branch", "pull-request", "patch", "file"]
    unattended: Literal["deny", "pause"] = "deny"
    action_timeout_s: int = 600
    batch: int | None = None
    """Proposals judged in one iteration; `None` = as many as there are jobs."""
