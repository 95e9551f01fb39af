"""Whatever is done to a loop file, its author gets a loop or lines that exist; never a traceback."""

import re

from hypothesis import example, given, settings
from hypothesis import strategies as st

from loopwright.errors import LoopFileError
from loopwright.loopfile import parse, ready

SEEDS = (
    *(ready.text(name) for name in ready.names()),
    """---
name: all
when: [{cron: "0 9 * * *", timezone: Europe/Berlin}, {ticket: t/}, {git: main}, {file: "*.csv"}, {webhook: /x}]
observe: [{tests: {run: t, junit: o.xml, timeout_minutes: 3}}, {metric: {run: r, name: n}}, {http: "http://x"}]
act: [repair, {repair: {minutes: 3}}, {tune: {edit: [a.py]}}, {agent: {model: "openai:x", reserve_usd: 0.1}}, {cli: claude}]
evaluate:
  tests: pytest
  metric: {run: r, name: n, goal: min, min_effect: 0.1}
  guard: g
  review: {run: r, gate: true}
  protect: [tests/, "**/conftest.py"]
  holdout: 0.2
stop: {iterations: 5, minutes: 5, plateau: 3, repeated_error: none, error_rate: 0.3}
budget: {usd: 1.50, tokens: 1000}
permit: {network: [a.example], write: [src/], secrets: [KEY]}
deliver: patch
unattended: pause
action_minutes: 2.5
batch: 4
---
Goal.
""",
)
_SIGNS = "{}[]:,#&*!|>'\"%@`-?~\t\n\r\0\ufeff\u2028\x85"
_SNIPPETS = (
    "---\n",
    "\n---\n",
    ": ",
    "- ",
    "<<: ",
    "&a ",
    "*a",
    "!!int ",
    "../",
    "/",
    "**",
    "é",
    "🙂",
    "\\",
    "{}",
    "[]",
    "none",
)
_NUMBERS = ("0", "-1", "1e9", ".nan", "on", "null", "9" * 400)
_PIECES = st.sampled_from([*_SIGNS, *_SNIPPETS, *_NUMBERS])


def check(text: str) -> None:
    """Either a loop, or problems that each name a line of the text."""
    try:
        parse(text, source="f.md")
    except LoopFileError as error:
        last = max(
            1, len(text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n").split("\n"))
        )
        for line in str(error).split("\n"):
            found = re.match(r"f\.md:(\d+): .", line)
            assert found, line
            assert 1 <= int(found[1]) <= last, line


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_edits_anywhere(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(SEEDS))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        gone = data.draw(st.integers(0, 6))
        text = text[:at] + data.draw(_PIECES | st.text(max_size=3)) + text[at + gone :]
    check(text)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_lines_taken_away_doubled_or_moved(data: st.DataObject) -> None:
    lines = data.draw(st.sampled_from(SEEDS)).split("\n")
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(lines) - 1))
        line = lines.pop(at) if data.draw(st.booleans()) and len(lines) > 1 else lines[at]
        lines.insert(data.draw(st.integers(0, len(lines))), line if data.draw(st.booleans()) else f"  {line}")
    check("\n".join(lines))


_WORDS = sorted({word for seed in SEEDS for word in re.findall(r"[a-z_]{3,}", seed)})


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_words_misspelt_or_swapped(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(SEEDS))
    places = [found.span() for found in re.finditer(r"[A-Za-z0-9_.]+", text)]
    start, end = data.draw(st.sampled_from(places))
    word = data.draw(
        st.sampled_from(_WORDS) | st.just(text[start : end - 1]) | st.just(text[start:end][::-1]) | _PIECES
    )
    check(text[:start] + word + text[end:])


@settings(max_examples=200, deadline=None)
@given(front=st.text(max_size=80), body=st.text(max_size=10))
@example(front="? ", body="x")
@example(front="- - - -", body="x")
@example(front="a: !<x> y", body="x")
@example(front="%YAML 9.9", body="x")
@example(front='a: "\\ud800"', body="x")
@example(front='name: "\\ud800"\nact: [repair]\nevaluate: {tests: "\\ud800"}', body="x")
@example(front='name: a\nact: [repair]\nevaluate: {tests: "a\\0b"}', body="x")
def test_any_text_between_the_fences(front: str, body: str) -> None:
    check(f"---\n{front}\n---\n{body}")


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.text("0123456789*/,-#LW? MONJA@", min_size=1, max_size=6), min_size=1, max_size=6).map(" ".join),
)
def test_any_cron_line(cron: str) -> None:
    check(f"---\nname: a\nact: [repair]\nevaluate: {{tests: t}}\nwhen:\n- cron: '{cron}'\n---\nGoal\n")
