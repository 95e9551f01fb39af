"""Circles: found when they are ones, whatever their length up to three, and valid work is left alone."""

from hypothesis import assume, given
from hypothesis import strategies as st

from loopwright.kernel.history import Turn
from loopwright.kernel.loop import StopRules, TextSource
from loopwright.kernel.stop.cycle import LONGEST_PERIOD, cycle, period_of
from support.stopping import state_of, with_turns

names = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=LONGEST_PERIOD)


def turns(signatures: str | list[str]) -> list[Turn]:
    return [Turn(n, 0, False, offered=1, signature=name) for n, name in enumerate(signatures, 1)]


@given(names, st.integers(2, 5), st.lists(st.sampled_from("abcdef"), max_size=9))
def test_a_word_said_often_enough_at_the_end_is_a_circle_of_at_most_its_length(
    word: list[str], times: int, before: list[str]
) -> None:
    found = period_of([*before, *(word * times)], times)
    assert found is not None
    assert found <= len(word)


@given(st.lists(st.sampled_from(["a", "b", "c", "d", ""]), max_size=20), st.integers(2, 4))
def test_a_circle_is_found_exactly_where_the_end_is_one_word_said_again_and_again(
    signatures: list[str], times: int
) -> None:
    def said(period: int) -> bool:
        tail = signatures[-period * times :]
        return len(tail) == period * times and "" not in tail and tail == tail[:period] * times

    assert period_of(signatures, times) == next((p for p in range(1, LONGEST_PERIOD + 1) if said(p)), None)


@given(names, st.integers(2, 4), st.integers(1, LONGEST_PERIOD * 4))
def test_one_other_iteration_at_the_end_breaks_the_circle(word: list[str], times: int, cut: int) -> None:
    assert period_of([*(word * times), "other"], times) is None
    assume(cut < len(word) * times and len(set(word)) == len(word))
    assert period_of((word * times)[:cut], times) is None


def test_every_period_up_to_three_ends_a_run_and_says_what_went_round() -> None:
    for word, what in (
        ("a", "the iteration was the same"),
        ("ab", "the 2 iterations were the same"),
        ("abc", "the 3 it"),
    ):
        ending = cycle(with_turns(state_of(), turns("x" + word * 3)))
        assert ending is not None
        assert ending.reason == "cycle"
        assert ending.why.startswith("3 times in a row")
        assert what in ending.why
        assert cycle(with_turns(state_of(), turns("x" + (word * 3)[1:]))) is None


def test_a_declared_poll_may_see_and_do_the_same_for_long() -> None:
    for kind in ("schedule", "http"):
        polling = state_of(observe=(TextSource(kind, "somewhere"),))
        assert cycle(with_turns(polling, turns("a" * 99))) is None
    assert cycle(with_turns(state_of(observe=(TextSource("documents", "docs"),)), turns("a" * 99))) is not None


def test_a_long_search_that_finds_nothing_yet_is_no_circle() -> None:
    """A stale detector that ends a search which goes on quietly kills valid work."""
    assert cycle(with_turns(state_of(), turns([""] * 99))) is None


@given(st.integers(0, 9), st.none() | st.integers(0, 5))
def test_edits_that_were_judged_before_end_the_run_after_as_many_iterations_as_the_loop_says(
    repeats: int, limit: int | None
) -> None:
    ending = cycle(state_of(StopRules(cycle=limit), repeats=repeats))
    assert (ending is not None) is (limit is not None and repeats >= max(limit, 1))


def test_without_the_rule_nothing_is_a_circle() -> None:
    assert cycle(with_turns(state_of(StopRules(cycle=None), repeats=99), turns("a" * 99))) is None
