"""The schema that editors read, the reference that people read, and the loops that ship: all say what the parser does."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from loopwright.errors import LoopFileError, UsageError
from loopwright.loopfile import json_schema, parse, ready
from loopwright.loopfile.reference import key_paths, markdown

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads(json_schema())
TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "null": (type(None),),
    "number": (int, float),
    "integer": (int, float),
}


def valid(value: object, schema: dict[str, object]) -> bool:
    """As much of JSON Schema 2020-12 as our schema uses; a keyword that is not known here fails the test."""
    return all(_holds(value, keyword, wanted, schema) for keyword, wanted in schema.items())


def _holds(value: object, keyword: str, wanted: object, schema: dict[str, object]) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    match keyword, wanted:
        case (("$schema" | "title" | "description"), _):
            return True
        case "type", str(name):
            whole = name != "integer" or (isinstance(value, int | float) and float(value).is_integer())
            return isinstance(value, TYPES[name]) and whole and (name == "boolean" or not isinstance(value, bool))
        case "enum", list(values):
            return value in values and not isinstance(value, bool)
        case "const", constant:
            return value == constant
        case "anyOf", list(ways):
            return any(valid(value, way) for way in ways)
        case "properties", dict(known):
            return not isinstance(value, dict) or all(valid(value[key], known[key]) for key in value if key in known)
        case "additionalProperties", False:
            listed = schema["properties"]
            assert isinstance(listed, dict)
            return not isinstance(value, dict) or set(value) <= set(listed)
        case "required", list(keys):
            return not isinstance(value, dict) or set(keys) <= set(value)
        case "items", dict(item):
            return not isinstance(value, list) or all(valid(one, item) for one in value)
        case "minItems", int(least):
            return not isinstance(value, list) or len(value) >= least
        case "minLength", int(least):
            return not isinstance(value, str) or len(value) >= least
        case "maxLength", int(most):
            return not isinstance(value, str) or len(value) <= most
        case "pattern", str(shape):
            return not isinstance(value, str) or re.search(shape, value) is not None
        case "exclusiveMinimum", int(least):
            return not number or value > least  # type: ignore[operator]
        case "maximum", int(most):
            return not number or value <= most  # type: ignore[operator]
        case "exclusiveMaximum", int(most):
            return not number or value < most  # type: ignore[operator]
    raise AssertionError(f"the schema uses {keyword!r}, which this test does not know")


def front_of(text: str) -> object:
    return yaml.safe_load(text.split("---\n")[1])


def parses(text: str) -> bool:
    try:
        parse(text, source="x.md")
    except LoopFileError:
        return False
    return True


@pytest.mark.parametrize("name", ready.names())
def test_a_ready_made_loop_is_good_to_the_parser_and_to_the_schema(name: str) -> None:
    assert parse(ready.text(name), source=name).loop.name == name
    assert valid(front_of(ready.text(name)), SCHEMA)


@pytest.mark.parametrize("name", ready.names())
def test_what_a_ready_made_loop_shows_in_comments_is_good_too(name: str) -> None:
    """A line `# key: …` or `# - item` is an example to uncomment; other comments are prose and start with a capital letter."""
    text = re.sub(
        r"(?m)^# ?(when:|protect:|budget:|  +|- )",
        lambda found: "  - " if found[1] == "- " else found[1],
        ready.text(name),
    )
    text = text.replace("\nprotect:", "\n  protect:")
    assert text != ready.text(name)
    assert parse(text, source=name).loop.act != parse(ready.text(name), source=name).loop.act


GOOD_LINES = [
    "when: []",
    "when: [{cron: '0 9 * * 1-5', timezone: Europe/Berlin}, {ticket: t/}, {git: a/b}, {file: '*.csv'}, {webhook: /x}]",
    "observe: [{tests: t}, {tests: {run: t, junit: o.xml, timeout_minutes: 2}}, {metric: {run: r, name: n}}, {http: x}]",
    "stop:",
    "stop: {iterations: 5, minutes: 0.5, plateau: 2, repeated_error: none, error_rate: 1}",
    "budget: {usd: 0.25, tokens: 5}",
    "permit: {network: none}",
    "permit: {network: [a.example], write: [./src/, '**/*.py'], secrets: [A_B]}",
    "deliver: pull-request",
    "unattended: pause",
    "action_minutes: 2.5",
    "batch: 4",
]
BAD_LINES = [
    "when: {cron: '0 9 * * 1'}",
    "when: [{cron: '0 9 * *'}]",
    "when: [{timezone: UTC}]",
    "when: [{ticket: /t}]",
    "when: [{ticket: a/../b}]",
    "when: [{ticket: a, git: b}]",
    "when: [ticket]",
    "when: [{git: a b}]",
    "when: [{webhook: x}]",
    "observe: []",
    "observe: [tests]",
    "observe: [{tests: {}}]",
    "observe: [{tests: 3}]",
    "observe: [{metric: {run: r}}]",
    "stop: 3",
    "stop: {iterations: 0}",
    "stop: {iterations: 2.5}",
    "stop: {iterations: '3'}",
    "stop: {iterations: true}",
    "stop: {minutes: -1}",
    "stop: {error_rate: 1.5}",
    "stop: {repeated_error: never}",
    "stop: {plateu: 3}",
    "budget: {usd: 0}",
    "budget: {usd: 2000000000}",
    "budget: {usd: two}",
    "budget: {iterations: 3}",
    "permit: {network: all}",
    "permit: {network: []}",
    "permit: {network: ['*.a']}",
    "permit: {write: src/}",
    "permit: {write: []}",
    "permit: {write: ['a\\b']}",
    "permit: {secrets: [a-b]}",
    "deliver: brunch",
    "unattended: ask",
    "action_minutes: 0",
    "batch: 0",
    "limits: {}",
]
BASE = {"name": "name: a", "act": "act: [repair]", "evaluate": "evaluate: {tests: t}"}
GOOD_PARTS = [
    ("act", "act: [repair, {repair: {minutes: 3}}, tune, {tune: {edit: [a]}}, {command: x}, {cli: codex}]"),
    (
        "act",
        "act: [{command: {run: x, reserve_usd: 1, reserve_tokens: 1}}, {agent: {model: 'openai:x'}}, {cli: {name: x}}]",
    ),
    ("act", "act: [{repair: }]"),
    ("evaluate", "evaluate: {tests: {run: t}, protect: [], holdout: 0.5, review: {run: r, gate: true}}"),
    ("evaluate", "evaluate: {tests: t, metric: {run: r, name: n, goal: max, min_effect: 0.1}, guard: {run: g}}"),
]
BAD_PARTS = [
    ("name", ""),
    ("name", "name: A"),
    ("name", f"name: {'a' * 41}"),
    ("name", "name: 3"),
    ("act", ""),
    ("act", "act: []"),
    ("act", "act: repair"),
    ("act", "act: [agent]"),
    ("act", "act: [repare]"),
    ("act", "act: [{agent: {model: gpt}}]"),
    ("act", "act: [{command: {reserve_usd: 1}}]"),
    ("evaluate", ""),
    ("evaluate", "evaluate: t"),
    ("evaluate", "evaluate: {guard: t}"),
    ("evaluate", "evaluate: {tests: t, holdout: 1}"),
    ("evaluate", "evaluate: {tests: t, review: {gate: true}}"),
    ("evaluate", "evaluate: {tests: t, review: {run: r, gate: 1}}"),
    ("evaluate", "evaluate: {metric: {run: r, name: n, goal: lower}}"),
]


def file_of(key: str, line: str) -> str:
    return "\n".join(["---", *{**BASE, key: line}.values(), "---\nGoal.\n"])


@pytest.mark.parametrize(("key", "line"), [*(("more", line) for line in GOOD_LINES), *GOOD_PARTS])
def test_parser_and_schema_take_the_same_good_files(key: str, line: str) -> None:
    text = file_of(key, line)
    assert parses(text)
    assert valid(front_of(text), SCHEMA)


@pytest.mark.parametrize(("key", "line"), [*(("more", line) for line in BAD_LINES), *BAD_PARTS])
def test_parser_and_schema_refuse_the_same_bad_files(key: str, line: str) -> None:
    text = file_of(key, line)
    assert not parses(text)
    assert not valid(front_of(text), SCHEMA)


def test_every_key_is_described_in_the_schema() -> None:
    assert json_schema().count(b'"description"') > len(key_paths())
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"


# --- generated files --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("name", "arguments"), [("loop-file.md", []), ("loop-file.schema.json", ["--schema"])])
def test_the_generated_reference_is_up_to_date(name: str, arguments: list[str]) -> None:
    command = [sys.executable, "-m", "loopwright.loopfile.reference", *arguments]
    made = subprocess.run(command, capture_output=True, check=True, cwd=ROOT)
    assert not made.stderr
    written = (ROOT / "docs" / "reference" / name).read_bytes()
    assert written == made.stdout, (
        f"docs/reference/{name} is old: python -m {' '.join(command[2:])} > docs/reference/{name}"
    )


def test_the_reference_has_a_row_for_every_key() -> None:
    page = markdown()
    assert {path.rpartition(".")[2] for path in key_paths()} <= set(re.findall(r"(?m)^\| `([a-z_]+)` \|", page))
    assert "| `agent` | the keys of `act[].agent` |  | A model with tools. | *later* |" in page


# --- ready-made loops ---------------------------------------------------------------------------------------------------
def test_the_ready_made_loops_are_those_of_the_checkout() -> None:
    assert {"fix", "improve"} <= set(ready.names())
    assert ready.names() == tuple(sorted(path.stem for path in (ROOT / "loops").glob("*.md")))
    assert ready.text("fix") == (ROOT / "loops" / "fix.md").read_text()


def test_a_ready_made_loop_that_does_not_exist_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        ready.text("fxi")
    assert str(caught.value).startswith("no ready-made loop 'fxi'; did you mean 'fix'? (known: fix, improve")


def test_the_fix_loop_can_run_in_this_version() -> None:
    from loopwright.loopfile import not_available

    assert not_available(parse(ready.text("fix"), source="fix.md").loop) == ()
