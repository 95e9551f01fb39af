"""What an author is told: one line a problem, with the line of the file, the key path, and the next move."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from loopwright.errors import LoopFileError
from loopwright.loopfile import parse, read

GOOD = """\
---
name: fix
when: [{ticket: tickets/}]
observe: [{tests: pytest -q}]
act: [repair]
evaluate: {tests: pytest -q}
stop: {iterations: 5}
budget: {usd: 2.00}
permit: {network: none}
deliver: branch
---
Make the tests pass.
"""


def with_line(number: int, text: str) -> str:
    lines = GOOD.splitlines()
    lines[number - 1] = text
    return "\n".join(lines) + "\n"


def message_of(text: str) -> str:
    with pytest.raises(LoopFileError) as caught:
        parse(text, source="loops/fix.md")
    return str(caught.value)


# One fault a line: the line of GOOD that it replaces, the text that it puts there, the whole message behind `loops/fix.md:`.
FAULTS: list[tuple[int, str, str]] = [
    (line, text, problem)
    for line, text, problem in map(json.loads, (Path(__file__).parent / "faults.jsonl").read_text().splitlines())
]


@pytest.mark.parametrize(("line", "text", "problem"), FAULTS, ids=[f"{line}-{text[:50]}" for line, text, _ in FAULTS])
def test_a_faulty_line_is_named_with_its_key_and_the_next_move(line: int, text: str, problem: str) -> None:
    assert message_of(with_line(line, text)) == f"loops/fix.md:{problem}"


def test_the_file_that_the_cases_are_made_from_is_good() -> None:
    assert parse(GOOD, source="loops/fix.md").loop.name == "fix"


def test_every_problem_of_a_file_is_told_in_the_order_of_its_lines() -> None:
    text = GOOD.replace("name: fix", "name: Fix").replace("usd: 2.00", "usd: 0").replace("Make the tests pass.", "")
    assert message_of(text.replace("[repair]", "[repare, {agent: {}}]")).splitlines() == [
        "loops/fix.md:2: name: 'Fix' may only hold a-z, 0-9 and '-', and starts with a letter or digit",
        "loops/fix.md:5: act[0]: unknown value 'repare'; did you mean 'repair'? (known: repair, tune, command, agent, cli)",
        "loops/fix.md:5: act[1].agent.model: is missing; expected a model as provider:name",
        "loops/fix.md:8: budget.usd: 0 means nothing left, so the run could never start; leave the key out for no limit",
        "loops/fix.md:11: the goal below the front matter is empty; say there in plain words what to reach",
    ]


def test_a_file_full_of_problems_is_not_told_in_a_thousand_lines() -> None:
    lines = message_of(with_line(3, "\n".join(f"k{n}: 1" for n in range(1000)))).splitlines()
    assert len(lines) == 21
    assert lines[-1] == "loops/fix.md:23: 980 more from here on"


def test_block_style_values_know_their_own_line() -> None:
    text = with_line(5, "act:\n  - repair\n  # a comment\n  - agent:\n      model: openai:x\n      reserve_usd: free")
    assert message_of(text) == (
        "loops/fix.md:10: act[1].agent.reserve_usd: expected a number of US dollars above 0, found 'free'"
    )


@pytest.mark.parametrize("text", ["---\n---\nGoal\n", "---\n# only a comment\n---\nGoal\n"])
def test_front_matter_without_keys_names_every_required_key(text: str) -> None:
    lines = message_of(text).splitlines()
    assert [line.split(": ")[1] for line in lines] == ["name", "act", "evaluate"]
    assert all(line.startswith("loops/fix.md:1:") for line in lines)


@pytest.mark.parametrize("text", ["", "\n", "---", "---\n", "# Title\n"])
def test_text_without_front_matter_is_one_problem_on_line_1(text: str) -> None:
    assert message_of(text).startswith("loops/fix.md:1: ")


def test_deep_nesting_is_refused_before_it_costs_anything() -> None:
    assert message_of(with_line(3, "when: " + "[" * 50_000)) == "loops/fix.md:3: nested more than 12 deep"


def test_aliases_that_would_multiply_are_refused() -> None:
    bomb = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]"
    assert "anchors and aliases" in message_of(with_line(3, bomb))


def test_a_pasted_secret_is_not_repeated() -> None:
    assert "sk-" not in message_of(with_line(9, "permit: {secrets: [sk-live-1234]}"))


# --- files ------------------------------------------------------------------------------------------------------------
def refused(path: Path) -> str:
    with pytest.raises(LoopFileError) as caught:
        read(path)
    return str(caught.value)


def test_a_file_that_is_not_there_is_named_with_its_neighbour(tmp_path: Path) -> None:
    (tmp_path / "fix.md").write_text(GOOD)
    near = str(tmp_path / "fix.md")
    assert refused(tmp_path / "fxi.md") == f"no such loop file: {tmp_path / 'fxi.md'}; did you mean {near!r}?"
    assert refused(tmp_path / "fix") == f"no such loop file: {tmp_path / 'fix'}; did you mean {near!r}?"
    assert refused(tmp_path / "no" / "fix.md") == f"no such loop file: {tmp_path / 'no' / 'fix.md'}"
    assert refused(tmp_path / "fix.md" / "x.md") == f"no such loop file: {tmp_path / 'fix.md' / 'x.md'}"


def test_a_folder_is_no_loop_file(tmp_path: Path) -> None:
    assert refused(tmp_path) == f"{tmp_path} is a folder; expected a loop file"
    (tmp_path / "fix.md").write_text(GOOD)
    assert refused(tmp_path) == (
        f"{tmp_path} is a folder; expected a loop file; did you mean {str(tmp_path / 'fix.md')!r}?"
    )


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"---\nname: \xff\n---\nx\n", ":2: is not UTF-8, found the byte 0xff"),
        (GOOD.encode("utf-16"), ":1: is not UTF-8, found the byte 0xff"),
        (GOOD.encode() + b"x" * 256 * 1024, ": is larger than 256 KiB; expected a goal of a few pages"),
        (b"", ":1: expected the front matter to open with '---' on the first line, found an empty line"),
    ],
)
def test_a_file_that_is_no_text(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "fix.md"
    path.write_bytes(content)
    assert refused(path) == f"{path}{problem}"


@pytest.mark.parametrize(
    "change",
    [lambda t: t.replace("\n", "\r\n"), lambda t: "\ufeff" + t, lambda t: t.replace("---\n", "---  \n"), str.rstrip],
    ids=["crlf", "bom", "spaces behind the fences", "no line end"],
)
def test_what_editors_do_to_a_file_changes_nothing(tmp_path: Path, change: Callable[[str], str]) -> None:
    path = tmp_path / "fix.md"
    path.write_bytes(change(GOOD).encode())
    assert read(path).loop == parse(GOOD, source="x").loop


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_lines_are_counted_as_an_editor_counts_them(line_end: str) -> None:
    assert message_of(with_line(8, "budget: {usd: x}").replace("\n", line_end)).startswith(
        "loops/fix.md:8: budget.usd: "
    )


def test_a_file_at_the_size_limit_is_read(tmp_path: Path) -> None:
    path = tmp_path / "fix.md"
    path.write_text(GOOD + "x" * (256 * 1024 - len(GOOD)))
    assert read(path).loop.goal.endswith("xxx")
