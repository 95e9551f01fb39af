"""The message of a kept commit: git and people read it as what it is."""

import subprocess
import unicodedata

import pytest
from hypothesis import given, settings

from loopwright.keep.message import commit_message
from loopwright.kernel import values as val
from support.streams import blob, hostile_text

HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def proposal(title: str, rationale: str = "") -> val.Proposal:
    return val.Proposal("p1", "repair", title, rationale, (val.Change("a.py", "100644", blob("x")),), "d")


def message(title: str = "t", rationale: str = "", *verdicts: val.Verdict) -> str:
    return commit_message("fix", "run1", 3, proposal(title, rationale), verdicts)


def trailers(text: str) -> list[str]:
    done = subprocess.run(
        ["git", "interpret-trailers", "--parse"], input=text.encode(), capture_output=True, check=True
    )
    return done.stdout.decode().splitlines()


def test_the_title_is_the_subject() -> None:
    assert message("use + instead of -").splitlines()[0] == "fix: use + instead of -"


def test_a_proposal_without_a_title_says_how_much_it_changes() -> None:
    assert message(" \n ").splitlines()[0] == "fix: change 1 file"


def test_a_long_title_is_cut() -> None:
    subject = message("word " * 100).splitlines()[0]
    assert len(subject) <= 72
    assert subject.endswith("…")


@given(hostile_text, hostile_text, hostile_text)
def test_whatever_a_proposer_writes_the_message_shows_and_hides_nothing(title: str, rationale: str, said: str) -> None:
    text = message(title, rationale, val.Verdict("tests", "pass", said))
    assert not {unicodedata.category(c) for c in text if c != "\n"} & HIDDEN
    lines = text.split("\n")
    assert len(lines[0]) <= 72
    assert lines[1] == ""
    assert "\n\n\n" not in text
    assert all(line == line.rstrip() for line in lines)
    assert text.endswith("\n\nLoopwright-Run: run1\nLoopwright-Iteration: 3\n")


@given(hostile_text, hostile_text)
@settings(max_examples=25)
def test_the_trailers_are_ours_alone(title: str, rationale: str) -> None:
    text = message(title, rationale, val.Verdict("tests", "pass", rationale))
    assert trailers(text) == ["Loopwright-Run: run1", "Loopwright-Iteration: 3"]


@pytest.mark.parametrize(
    "line",
    ["---", "--- a/x", "diff --git a/x b/x", "Index: x", "From abc", ">From abc", "Signed-off-by: X", "-- >8 --"],
)
def test_lines_that_git_would_act_upon_are_set_in(line: str) -> None:
    assert f"\n  {line}\n" in message("t", f"first\n{line}\nlast")


def test_an_endless_rationale_is_cut() -> None:
    assert len(message("t", "x" * 100_000 + "\n" + "line\n" * 1_000)) < 3_000
