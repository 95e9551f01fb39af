"""What a good loop file means: its values, its defaults, its digest, and what of it this version performs."""

from itertools import permutations

import msgspec
import pytest

from loopwright.kernel.loop import (
    AgentRung,
    CliRung,
    CommandRung,
    CronTrigger,
    FileTrigger,
    GitTrigger,
    Loop,
    Metric,
    MetricBound,
    MetricSource,
    Permit,
    RepairRung,
    Review,
    StopRules,
    TestsSource,
    TextSource,
    TicketTrigger,
    TuneRung,
    WebhookTrigger,
)
from loopwright.kernel.values import Budget, Spend
from loopwright.loopfile import not_available, parse
from loopwright.loopfile.later import LATER
from loopwright.loopfile.reference import key_paths
from loopwright.workspace.patterns import matches

CONTRACT = """\
---
name: fix-tests                       # a-z 0-9 -
when: [{ticket: tickets/}, {cron: "*/15 * * * *"}, {git: main}]   # absent: only by hand
observe: [{tests: "python -m pytest -q"}]
act: [repair, {agent: {model: "anthropic:claude-…"}}, {cli: claude}]   # the ladder, cheapest first
evaluate: {tests: "python -m pytest -q", protect: [tests/], holdout: 0.3}
stop: {iterations: 20, minutes: 30}
budget: {usd: 2.00, tokens: 500000}
permit: {network: none, write: [src/]}
deliver: branch                       # branch | pull-request | patch | file
---
Make the failing tests pass without changing what they mean.
"""
LEAST = ["name: a", "act: [repair]", "evaluate: {tests: pytest}"]


def loop(*lines: str, goal: str = "Go.") -> Loop:
    return parse("\n".join(["---", *lines, "---", goal]), source="x.md").loop


def least(*lines: str) -> Loop:
    return loop(*LEAST, *lines)


def test_the_example_of_the_contract_means_what_it_says() -> None:
    tests = TestsSource("python -m pytest -q")
    parsed = parse(CONTRACT, source="x.md").loop
    assert parsed.name == "fix-tests"
    assert parsed.goal == "Make the failing tests pass without changing what they mean."
    assert parsed.when == (TicketTrigger("tickets/"), CronTrigger("*/15 * * * *", "UTC"), GitTrigger("main"))
    assert parsed.observe == (tests,)
    assert parsed.act == (RepairRung(), AgentRung("anthropic:claude-…"), CliRung("claude"))
    assert (parsed.evaluate.tests, parsed.evaluate.protect, parsed.evaluate.holdout) == (tests, ("tests/",), 0.3)
    assert parsed.budget == Budget(usd_micros=2_000_000, tokens=500_000, wall_ms=1_800_000, iterations=20)
    assert parsed.permit == Permit("none", ("./src/",), ())
    assert parsed.deliver == "branch"


def test_what_is_left_out_has_the_documented_default() -> None:
    """A loop without a rung that costs money needs no budget in dollars."""
    parsed = least()
    assert parsed.when == ()
    assert parsed.observe == (TestsSource("pytest"),)
    assert parsed.budget == Budget(usd_micros=None, tokens=None, wall_ms=30 * 60_000, iterations=20)
    assert parsed.stop == StopRules(plateau="auto", repeated_error=3, error_rate=0.5)
    assert parsed.permit == Permit()
    assert (parsed.deliver, parsed.unattended, parsed.action_timeout_s, parsed.batch) == ("branch", "deny", 600, None)
    assert not_available(parsed) == ()


@pytest.mark.parametrize(
    "path",
    [
        "tests/test_a.py",
        "test/data.json",
        "conftest.py",
        "src/pkg/conftest.py",
        "test_a.py",
        "src/test_a.py",
        "src/a_test.py",
        "pytest.ini",
        "tox.ini",
        "setup.cfg",
        "pyproject.toml",
        "noxfile.py",
        ".github/workflows/ci.yml",
    ],
)
def test_what_decides_whether_tests_pass_is_protected_by_default(path: str) -> None:
    assert matches(path, least().evaluate.protect)


def test_protect_by_default_leaves_the_code_open_and_can_be_replaced() -> None:
    assert not matches("src/pkg/latest.py", least().evaluate.protect)
    assert loop("name: a", "act: [repair]", "evaluate: {tests: t, protect: []}").evaluate.protect == ()
    metric = "metric: {run: r, name: n, goal: min}"
    assert loop("name: a", "act: [tune]", f"evaluate: {{{metric}}}").evaluate.protect == ()
    assert matches("tests/a.py", loop("name: a", "act: [tune]", f"evaluate: {{{metric}, guard: t}}").evaluate.protect)


def test_observe_left_out_is_what_evaluate_judges_by() -> None:
    both = loop(
        "name: a", "act: [repair]", "evaluate: {tests: {run: t, junit: o.xml}, metric: {run: r, name: n, goal: max}}"
    )
    assert both.observe == (TestsSource("t", "o.xml"), MetricSource("r", "n"))


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("[{cron: '0 9 * * 1-5', timezone: Europe/Berlin}]", CronTrigger("0 9 * * 1-5", "Europe/Berlin")),
        ("[{timezone: America/New_York, cron: '0 9 29 2 *'}]", CronTrigger("0 9 29 2 *", "America/New_York")),
        ("[{cron: '0 0 31 2 1'}]", CronTrigger("0 0 31 2 1")),
        ("[{git: feature/x-1}]", GitTrigger("feature/x-1")),
        ("[{file: data/**/*.csv}]", FileTrigger("data/**/*.csv")),
        ("[{webhook: /hooks/build}]", WebhookTrigger("/hooks/build")),
    ],
)
def test_triggers(line: str, value: object) -> None:
    assert least(f"when: {line}").when == (value,)


@pytest.mark.parametrize(
    ("item", "value"),
    [
        ("{tests: {run: make test, timeout_minutes: 0.5}}", TestsSource("make test", None, 30)),
        ("{metric: {run: r, name: n}}", MetricSource("r", "n")),
        *(
            (f"{{{of}: here}}", TextSource(of, "here"))
            for of in ("repository", "tickets", "schedule", "http", "documents")
        ),
    ],
)
def test_sources(item: str, value: object) -> None:
    assert least(f"observe: [{item}]").observe == (value,)


@pytest.mark.parametrize(
    ("item", "value"),
    [
        ("repair", RepairRung()),
        ("{repair: }", RepairRung()),
        ("{repair: {minutes: 2}}", RepairRung(120)),
        ("tune", TuneRung()),
        ("{tune: {edit: [train.py, conf/*.toml]}}", TuneRung(("train.py", "conf/*.toml"))),
        ("{command: ./fix --all}", CommandRung("./fix --all")),
        ("{command: {run: ./fix, reserve_usd: 0.25, reserve_tokens: 10}}", CommandRung("./fix", Spend(250_000, 10))),
        ("{agent: {model: 'openai:gpt-5', reserve_usd: 1}}", AgentRung("openai:gpt-5", Spend(1_000_000))),
        ("{agent: {model: 'my-box:llama'}}", AgentRung("my-box:llama")),
        ("{agent: {model: 'openai2:x'}}", AgentRung("openai2:x")),
        ("{cli: codex}", CliRung("codex")),
        ("{cli: {name: goose, model: fast}}", CliRung("goose", "fast")),
    ],
)
def test_rungs(item: str, value: object) -> None:
    assert loop("name: a", f"act: [{item}]", "evaluate: {tests: t}").act == (value,)


def test_the_whole_of_evaluate() -> None:
    parsed = loop(
        "name: a",
        "act: [tune]",
        "evaluate:",
        "  metric: {run: python train.py, name: val_bpb, goal: min, min_effect: 0.001, timeout_minutes: 5}",
        "  guard: {run: pytest, timeout_minutes: 1}",
        "  review: {model: 'openai:x', independent: true, gate: true}",
    ).evaluate
    assert parsed.metric == Metric("python train.py", "val_bpb", "min", 0.001, 300)
    assert parsed.guard == TestsSource("pytest", None, 60)
    assert parsed.review == (Review(None, "openai:x", independent=True, gate=True),)


def test_a_metric_with_everything_that_can_be_said_of_it() -> None:
    """Every key arrives as the value that the kernel decides by."""
    parsed = loop(
        "name: a",
        "act: [tune]",
        "evaluate:",
        "  metric:",
        "    run: python train.py",
        "    name: loss",
        "    goal: min",
        "    target: -1.5",
        "    bounds: [{name: accuracy, goal: max, worse_by: 0.01}]",
        "    holdout: python holdout.py",
        "    calibrate: 5",
        "    pairs: 20",
        "    false_keeps: 0.05",
        "    simpler: false",
    ).evaluate.metric
    assert parsed == Metric(
        "python train.py",
        "loss",
        "min",
        target=-1.5,
        bounds=(MetricBound("accuracy", "max", 0.01),),
        holdout="python holdout.py",
        calibrate=5,
        pairs=20,
        false_keeps=0.05,
        simpler=False,
    )


def test_several_judges_are_a_list() -> None:
    """Two judges can contradict each other; both are asked."""
    parsed = loop(
        "name: a",
        "act: [repair]",
        "evaluate:",
        "  tests: pytest",
        "  review: [{run: ./one}, {run: ./two, family: openai, gate: true, timeout_minutes: 2}]",
        "  tamper: refuse",
        "  max_files: 3",
        "  max_lines: 40",
        "  changed_lines: 0.8",
    ).evaluate
    assert parsed.review == (Review("./one"), Review("./two", gate=True, family="openai", timeout_s=120))
    assert (parsed.tamper, parsed.max_files, parsed.max_lines, parsed.changed_lines) == ("refuse", 3, 40, 0.8)


def test_rules_that_are_switched_off() -> None:
    """`none` is off; nothing else is."""
    parsed = least(
        "stop: {plateau: none, cycle: none, drift: none, disagreements: none, denials: none, worth_usd: 2.5}"
    )
    assert parsed.stop == StopRules(
        plateau=None, cycle=None, drift=None, disagreements=None, denials=None, worth_usd_micros=2_500_000
    )


@pytest.mark.parametrize(
    ("text", "usd_micros"),
    [
        ("0.1", 100_000),
        ("8.2", 8_200_000),
        ("0.000249", 249),
        ("2.00", 2_000_000),
        ("0.000001", 1),
        (".5", 500_000),
        ("5.", 5_000_000),
        ("1000000.000001", 1_000_000_000_001),
    ],
)
def test_dollars_are_exact(text: str, usd_micros: int) -> None:
    assert least(f"budget: {{usd: {text}}}").budget.usd_micros == usd_micros


def test_limits_and_grants() -> None:
    parsed = least(
        "stop: {iterations: 3, minutes: 0.001, plateau: 4, repeated_error: none, error_rate: none}",
        "budget: {tokens: 7}",
        "permit: {network: [api.example.com, localhost], write: [src/], secrets: [API_KEY]}",
        "deliver: pull-request",
        "unattended: pause",
        "action_minutes: 0.25",
        "batch: 8",
    )
    assert parsed.stop == StopRules(plateau=4, repeated_error=None, error_rate=None)
    assert parsed.budget == Budget(usd_micros=None, tokens=7, wall_ms=60, iterations=3)
    assert parsed.permit == Permit(("api.example.com", "localhost"), ("./src/",), ("API_KEY",))
    assert (parsed.deliver, parsed.unattended, parsed.action_timeout_s, parsed.batch) == (
        "pull-request",
        "pause",
        15,
        8,
    )


# --- digest -----------------------------------------------------------------------------------------------------------
def digest(lines: list[str], goal: str = "Go.") -> str:
    return parse("\n".join(["---", *lines, "---", goal]), source="x.md").digest


def test_comments_layout_and_the_order_of_keys_do_not_change_the_digest() -> None:
    lines = [*LEAST, "budget: {usd: 2.0, tokens: 5}"]
    known = digest(lines)
    assert {digest(list(order)) for order in permutations(lines)} == {known}
    assert digest(["# why", *LEAST, "budget:  # money", "  tokens: 5", "  usd: 2"], "\n\nGo.\n\n") == known


def test_a_default_that_is_written_out_does_not_change_the_digest() -> None:
    assert digest(
        [*LEAST, "stop: {iterations: 20, minutes: 30}", "deliver: branch", "observe: [{tests: pytest}]"]
    ) == digest(LEAST)


@pytest.mark.parametrize(
    "change", ["budget: {usd: 1}", "stop: {iterations: 21}", "deliver: patch", "batch: 2", "when: [{git: main}]"]
)
def test_a_changed_value_changes_the_digest(change: str) -> None:
    assert digest([*LEAST, change]) != digest(LEAST)


def test_a_changed_goal_changes_the_digest() -> None:
    assert digest(LEAST, "Go on.") != digest(LEAST)


def test_a_loop_survives_its_json() -> None:
    parsed = parse(CONTRACT, source="x.md").loop
    assert msgspec.json.decode(msgspec.json.encode(parsed), type=Loop) == parsed


# --- not available ----------------------------------------------------------------------------------------------------
def test_what_this_version_does_not_perform_is_named_with_its_place() -> None:
    assert not_available(parse(CONTRACT, source="x.md").loop) == (
        "not available yet: act[1].agent (models arrive in a later version)",
        "not available yet: act[2].cli (agent CLIs arrive in a later version)",
    )


def test_everything_that_comes_later_is_found_in_a_loop_that_uses_it() -> None:
    parsed = loop(
        "name: a",
        "when: [{git: main}, {file: '*.csv'}, {webhook: /x}]",
        "observe: [{repository: x}, {tickets: x}, {schedule: x}, {http: x}, {documents: x}]",
        "act: [tune, {agent: {model: 'openai:x'}}, {cli: codex}]",
        "evaluate: {tests: t, review: {model: 'openai:x'}}",
        "deliver: pull-request",
    )
    lines = not_available(parsed)
    assert len(lines) == len(LATER)
    assert "not available yet: when[1].file (file triggers arrive in a later version)" in lines
    assert "not available yet: deliver: pull-request (pull requests arrive in a later version)" in lines


def test_what_is_available_is_not_named() -> None:
    parsed = loop(
        "name: a",
        "when: [{cron: '* * * * *'}, {ticket: t/}, {git: main}]",
        "observe: [{tests: t}, {metric: {run: r, name: m}}]",
        "act: [repair, tune, {command: {run: x, reserve_usd: 1}}]",
        "evaluate: {tests: t, metric: {run: r, name: n, goal: max}, guard: g, holdout: 0.2, review: {run: r}, protect: [tests/]}",
        "stop: {iterations: 1, minutes: 1, plateau: 1, repeated_error: 1, error_rate: 1}",
        "budget: {usd: 1, tokens: 1}",
        "permit: {network: [a.b], write: [src/], secrets: [X]}",
        "deliver: patch",
        "unattended: pause",
    )
    assert not_available(parsed) == ()


def test_what_comes_later_are_keys_of_the_file() -> None:
    assert {later.key for later in LATER} <= key_paths()
