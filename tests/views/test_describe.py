"""The lines of `loopwright log`."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwright.kernel import events as ev
from loopwright.kernel import values as val
from loopwright.views.describe import describe, duration
from loopwright.views.text import one_line, plain, usd
from support.streams import Stream, hostile_text, prefixes

HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@given(prefixes())
def test_every_event_is_one_line_that_no_terminal_acts_upon(events: list[ev.Event]) -> None:
    for event in events:
        line = describe(event)
        assert line
        assert len(line) <= 240
        assert not {unicodedata.category(c) for c in line} & HIDDEN


def test_a_run_reads_like_a_story() -> None:
    lines = [describe(e) for e in Stream().fixed().events]
    assert lines[0].startswith("run of fix started by hand from ")
    assert "driver started on host (process 4242, loopwright 0.1.0); bubblewrap, no network" in lines
    assert "begins to evaluate: proposal p1" in lines
    assert "judged p2: tests fail: test_add still fails [1.5 s]" in lines
    assert "decided: stop (goal): every source says that the goal is met" in lines
    assert lines[-1] == "finished: goal (exit 0): all tests pass"
    assert any(line.startswith("3 proposed: drop it; use *; use + [2.0 s, $0.01, 3,210 tokens]") for line in lines)


def test_what_triggers_did_has_words_too() -> None:
    stream = Stream("loop:fix")
    stream.add(ev.TriggerFired("cron", "07:00", 1, "run-7", "e"))
    stream.add(ev.TriggerSkipped("cron", "08:00", 2, "missed", "the service was down", "e"))
    assert [describe(e) for e in stream.events] == [
        "cron fired for 07:00: starts run run-7",
        "cron for 08:00 started nothing (missed): the service was down",
    ]


def test_a_plan_that_names_its_iteration_does_not_say_it_twice() -> None:
    stream = Stream()
    stream.plan(2, rationale="iteration 2: 1 of 3 tests fail")
    assert describe(stream.events[-1]) == "iteration 2, rung 1: 1 of 3 tests fail [1 ms]"


def test_limits_that_are_off_are_not_listed() -> None:
    stream = Stream()
    stream.add(ev.LimitsChanged("ann", val.Budget(usd_micros=0, iterations=3)))
    stream.add(ev.LimitsChanged("ann", val.Budget()))
    assert [describe(e) for e in stream.events] == [
        "ann set the limits of the run: $0.00, 3 iterations",
        "ann set the limits of the run: none",
    ]


class TestText:
    @given(st.text() | hostile_text)
    def test_plain_text_keeps_only_what_shows(self, text: str) -> None:
        shown = plain(text)
        assert not {unicodedata.category(c) for c in shown if c not in "\n\t"} & HIDDEN
        shown.encode()

    @given(st.text(alphabet=st.characters(codec="ascii", categories=["L", "N", "P", "S"])))
    def test_text_that_shows_is_left_alone(self, text: str) -> None:
        assert plain(text) == text

    @given(st.text() | hostile_text, st.integers(1, 30))
    def test_one_line_is_never_longer_than_asked(self, text: str, limit: int) -> None:
        line = one_line(text, limit)
        assert len(line) <= limit
        assert "\n" not in line

    def test_a_cut_is_seen(self) -> None:
        assert one_line("abcdef", 6) == "abcdef"
        assert one_line("abcdefg", 6) == "abcde…"

    def test_direction_overrides_and_escapes_become_visible(self) -> None:
        assert plain("a\u202eb\x1b[2J\x07\r\nc\ttail") == "a\\u202eb\\x1b[2J\\x07\nc\ttail"


@pytest.mark.parametrize(
    ("ms", "words"),
    [
        (850, "850 ms"),
        (12_340, "12.3 s"),
        (245_000, "4 min 05 s"),
        (7_380_000, "2 h 03 min"),
        (59_990, "1 min"),
        (1_800_000, "30 min"),
        (3_599_999, "1 h"),
    ],
)
def test_durations_are_said_as_people_say_them(ms: int, words: str) -> None:
    assert duration(ms) == words


def test_money_below_a_cent_is_not_shown_as_nothing() -> None:
    assert [usd(n) for n in (0, 42, 10_000, 1_234_567_890)] == ["$0.00", "$0.000042", "$0.01", "$1,234.57"]
