"""The keys that say what a loop does: `when`, `observe`, `act`. One class a mapping, one line a key."""

from loopwright.kernel.loop import (
    AgentRung,
    CliRung,
    CommandRung,
    CronTrigger,
    FileTrigger,
    GitTrigger,
    MetricSource,
    RepairRung,
    Rung,
    Source,
    TestsSource,
    TextSource,
    TicketTrigger,
    Trigger,
    TuneRung,
    WebhookTrigger,
)
from loopwright.kernel.values import Spend
from loopwright.loopfile._grammars import BRANCH, CLI_NAME, CRON, HTTP_PATH, MODEL, TIMEZONE
from loopwright.loopfile._kinds import COMMAND, LINE, NAME, PATH, PATTERN, As
from loopwright.loopfile._numbers import count, minutes_as_s, usd_as_micros
from loopwright.loopfile._table import Fields, Key, ListOf, OneOf, Record, Table

__all__ = ["ACT", "COMMAND_TIME", "OBSERVE", "PATTERNS", "TESTS", "WHEN"]

PATTERNS = ListOf(PATTERN, "path patterns", least=1)
_SEARCH_TIME = minutes_as_s(zero="leave the key out to let action_minutes decide")
COMMAND_TIME = minutes_as_s(zero="leave the key out to let action_minutes decide")
_RESERVE_USD = usd_as_micros(zero="leave the key out to reserve nothing")
_RESERVE_TOKENS = count("tokens", most=10**12, zero="leave the key out to reserve nothing")


# --- when -------------------------------------------------------------------------------------------------------------
class WhenKeys(Table):
    ticket = Key(As(PATH, TicketTrigger), "A folder of Markdown tickets: each new or changed one starts a run.")
    cron = Key(As(CRON, CronTrigger), "A schedule of five fields, as in crontab(5).")
    timezone = Key(TIMEZONE, "The time zone that `cron` is meant in.", default="UTC")
    git = Key(As(BRANCH, GitTrigger), "A local branch: new commits on it start a run.")
    file = Key(As(PATTERN, FileTrigger), "A pattern: a new or changed file that it covers starts a run.")
    webhook = Key(As(HTTP_PATH, WebhookTrigger), "A path of the service: a signed POST to it starts a run.")


def _with_timezone(trigger: Trigger, fields: Fields) -> Trigger:
    if isinstance(trigger, CronTrigger):
        return CronTrigger(trigger.expression, fields[WhenKeys.timezone])
    return trigger


WHEN: OneOf[Trigger] = OneOf(WhenKeys, beside={WhenKeys.timezone: WhenKeys.cron}, finish=_with_timezone)


# --- observe ----------------------------------------------------------------------------------------------------------
class TestsKeys(Table):
    __test__ = False

    run = Key(COMMAND, "The command that runs the tests.", required=True)
    junit = Key(
        PATH,
        "The JUnit XML report that the command writes.",
        absent="pytest is asked for one; else the exit code decides",
    )
    timeout_minutes = Key(COMMAND_TIME, "The longest the command may run.", absent="`action_minutes`")


def _tests(fields: Fields) -> TestsSource:
    return TestsSource(fields[TestsKeys.run], fields.get(TestsKeys.junit), fields.get(TestsKeys.timeout_minutes))


TESTS = Record(TestsKeys, _tests, short=TestsKeys.run)


class SourceMetricKeys(Table):
    run = Key(COMMAND, "The command that prints the metric.", required=True)
    name = Key(LINE, "The metric's name in the line `METRIC name=1.5` or `name: 1.5`.", required=True)


def _source_metric(fields: Fields) -> MetricSource:
    return MetricSource(fields[SourceMetricKeys.run], fields[SourceMetricKeys.name])


class ObserveKeys(Table):
    tests = Key(TESTS, "Run the tests.")
    metric = Key(Record(SourceMetricKeys, _source_metric), "Run a command and read a number that it prints.")
    repository = Key(As(LINE, lambda where: TextSource("repository", where)), "Read files of the repository.")
    tickets = Key(As(LINE, lambda where: TextSource("tickets", where)), "Read tickets from a folder or tracker.")
    schedule = Key(As(LINE, lambda where: TextSource("schedule", where)), "Read what is due.")
    http = Key(As(LINE, lambda where: TextSource("http", where)), "Fetch a page.")
    documents = Key(As(LINE, lambda where: TextSource("documents", where)), "Read a folder of documents.")


OBSERVE: OneOf[Source] = OneOf(ObserveKeys)


# --- act --------------------------------------------------------------------------------------------------------------
class RepairKeys(Table):
    minutes = Key(_SEARCH_TIME, "Search time of one iteration.", absent="`action_minutes`")


class TuneKeys(Table):
    edit = Key(PATTERNS, "The files whose numbers may be turned.", absent="every file that may be written")


class CommandKeys(Table):
    run = Key(COMMAND, "The program and its arguments.", required=True)
    reserve_usd = Key(_RESERVE_USD, "Dollars set aside before each call, settled afterwards.", absent="nothing")
    reserve_tokens = Key(_RESERVE_TOKENS, "Tokens set aside before each call, settled afterwards.", absent="nothing")
    family = Key(NAME, "The family of the model that it asks; `none` when it asks none.", absent="not known")


class AgentKeys(Table):
    model = Key(MODEL, "The model, as `provider:name`.", required=True)
    reserve_usd = Key(_RESERVE_USD, "Dollars set aside before each call, settled afterwards.", absent="nothing")
    reserve_tokens = Key(_RESERVE_TOKENS, "Tokens set aside before each call, settled afterwards.", absent="nothing")


class CliKeys(Table):
    name = Key(CLI_NAME, "The agent CLI: `claude`, `codex`, or one that you configured.", required=True)
    model = Key(LINE, "The model that the CLI is told to use, in its own words.", absent="the CLI's own choice")
    reserve_usd = Key(_RESERVE_USD, "Dollars set aside before each call, settled afterwards.", absent="nothing")
    reserve_tokens = Key(_RESERVE_TOKENS, "Tokens set aside before each call, settled afterwards.", absent="nothing")


def _reserve(fields: Fields, usd_micros: Key[int], tokens: Key[int]) -> Spend:
    return Spend(usd_micros=fields.get(usd_micros) or 0, tokens=fields.get(tokens) or 0)


def _command(fields: Fields) -> CommandRung:
    reserve = _reserve(fields, CommandKeys.reserve_usd, CommandKeys.reserve_tokens)
    return CommandRung(fields[CommandKeys.run], reserve, fields.get(CommandKeys.family))


def _agent(fields: Fields) -> AgentRung:
    return AgentRung(fields[AgentKeys.model], _reserve(fields, AgentKeys.reserve_usd, AgentKeys.reserve_tokens))


def _cli(fields: Fields) -> CliRung:
    reserve = _reserve(fields, CliKeys.reserve_usd, CliKeys.reserve_tokens)
    return CliRung(fields[CliKeys.name], fields.get(CliKeys.model), reserve)


class ActKeys(Table):
    repair = Key(
        Record(RepairKeys, lambda f: RepairRung(f.get(RepairKeys.minutes))), "Search-based program repair, no model."
    )
    tune = Key(
        Record(TuneKeys, lambda f: TuneRung(f.get(TuneKeys.edit) or ())), "Search over the numbers in files, no model."
    )
    command = Key(Record(CommandKeys, _command, short=CommandKeys.run), "Any program that edits the files it is given.")
    agent = Key(Record(AgentKeys, _agent), "A model with tools.")
    cli = Key(Record(CliKeys, _cli, short=CliKeys.name), "An agent CLI, run without a terminal.")


ACT: OneOf[Rung] = OneOf(ActKeys)
