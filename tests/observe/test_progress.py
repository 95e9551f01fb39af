"""The account of a run: what the runtime saw, bounded, newest first, without the names of held-out tests."""

import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwright.kernel.history import Turn
from loopwright.kernel.values import BlobRef, Budget, Observation, Spend
from loopwright.observe.progress import PROGRESS_CHARS, progress, summarise
from loopwright.testing.memory import MemoryBlobs
from support import worlds

HELD = "tests/test_secret.py::test_discount_of_a_third[7-x]"


def told(
    turns: tuple[Turn, ...] = (),
    *,
    head: tuple[str, ...] = ("2 of 30 tests fail: test_a, test_b",),
    goal_met: bool | None = False,
    kept: int | None = None,
    lessons: tuple[str, ...] = (),
    claimed_done: bool = False,
    hidden: tuple[str, ...] = (),
    remaining: Budget | None = None,
) -> str:
    return summarise(
        iterations=turns[-1].iteration if turns else 0,
        kept=len([t for t in turns if t.kept]) if kept is None else kept,
        turns=turns,
        lessons=lessons,
        head=head,
        goal_met=goal_met,
        remaining=remaining or Budget(),
        unit="score",
        claimed_done=claimed_done,
        hidden=hidden,
    )


def test_a_claim_that_the_check_contradicts_is_answered_first_and_in_the_checks_words() -> None:
    text = told(claimed_done=True)
    assert text.startswith("You said that it is done; the check says: 2 of 30 tests fail: test_a, test_b.")


def test_nothing_is_held_against_a_claim_that_the_check_confirms_or_that_nobody_made() -> None:
    assert "You said" not in told(claimed_done=True, goal_met=True, head=("30 tests pass",))
    assert told(claimed_done=False).startswith("The goal is not met yet; the check says: 2 of 30 tests fail")


def test_what_was_kept_stands_newest_first_with_its_gain_and_what_was_tried_last_with_its_reason() -> None:
    turns = (
        Turn(1, 0, True, gain=5.0, title="round prices"),
        Turn(2, 0, True, gain=2.5, title="cap the voucher"),
        Turn(3, 0, False, title="delete the check"),
        Turn(4, 0, False, title="skip the test", why="breaks test_c"),
    )
    lines = told(turns, lessons=("delete the check: breaks test_b", "skip the test: breaks test_c")).splitlines()
    assert "So far: 4 iterations, 2 kept." in lines
    assert "Last tried, not kept (2 in a row without a keep): skip the test: breaks test_c" in lines
    first, second = (
        lines.index(f"- iteration {n}: {what}")
        for n, what in ((2, "cap the voucher (score +2.5)"), (1, "round prices (score +5)"))
    )
    assert first < second
    assert lines.index("- skip the test: breaks test_c") < lines.index("- delete the check: breaks test_b")


def test_what_is_left_of_the_budget_is_named_and_nothing_left_is_not_unlimited() -> None:
    text = told(remaining=Budget(usd_micros=0, tokens=5, wall_ms=90_000, iterations=1))
    assert "Left of the budget: 1 iteration, 1.5 minutes, $0.00, 5 tokens." in text
    assert "Left of the budget: not limited." in told()


words = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=300)
turns = st.lists(
    st.builds(
        Turn, st.integers(1, 999), st.just(0), st.booleans(), st.none() | st.floats(-1e9, 1e9), title=words, why=words
    ),
    max_size=256,
)


@given(
    turns,
    st.lists(words, max_size=20),
    st.lists(words, max_size=4),
    st.booleans(),
    st.sampled_from([True, False, None]),
)
def test_it_never_grows_past_its_bound_and_always_opens_with_the_check(
    made: list[Turn], lessons: list[str], head: list[str], claimed: bool, goal_met: bool | None
) -> None:
    text = told(
        tuple(made), kept=400, lessons=tuple(lessons), head=tuple(head), claimed_done=claimed, goal_met=goal_met
    )
    assert len(text) <= PROGRESS_CHARS
    assert "the check says: " in text.splitlines()[0]


def test_the_newest_keep_stays_whole_and_older_ones_are_counted() -> None:
    turns = tuple(Turn(n, 0, True, gain=float(n), title=f"edit {n} " + "x" * 100) for n in range(1, 201))
    text = told(turns)
    assert "- iteration 200: edit 200 " + "x" * 100 + " (score +200)" in text
    shown = text.count("- iteration ")
    assert 0 < shown < 200
    assert PROGRESS_CHARS / 2 < len(text) <= PROGRESS_CHARS
    assert f"- and {200 - shown} more" in text


@pytest.mark.parametrize(
    "where",
    [
        {"head": (f"1 of 30 tests fails: {HELD}",)},
        {"lessons": (f"an edit: breaks {HELD}",)},
        {"turns": (Turn(1, 0, False, title=f"make {HELD} pass", why="no"),)},
        {"turns": (Turn(1, 0, False, title="an edit", why=f"breaks {HELD}"),)},
        {"turns": (Turn(1, 0, True, title="test_discount_of_a_third is repaired"),)},
        {"head": ("x" * 685 + f" {HELD}",)},
    ],
)
def test_the_name_of_a_held_out_test_never_leaves_wherever_it_comes_in(where: dict[str, tuple[str, ...]]) -> None:
    text = told(hidden=(HELD,), **where)  # type: ignore[arg-type]
    assert "discount" not in text
    assert "test_dis" not in text
    assert "a held-out" in text


def test_a_visible_test_whose_name_only_begins_like_a_held_out_one_is_still_named() -> None:
    assert "test_discount_of_a_third_party" in told(head=("fails: test_discount_of_a_third_party",), hidden=(HELD,))


def seen(summary: str, goal_met: bool | None, source: str = "tests: pytest") -> Observation:
    return Observation("o1", source, 5, BlobRef("0" * 64, 0), "untrusted", summary, goal_met)


def test_a_run_is_told_from_its_state_and_the_newest_look_at_the_head() -> None:
    world = worlds.World(random.Random(4), green_after=99, keep_rate=0.6, spend=lambda rng: Spend(usd_micros=1000))
    state, _ = worlds.play(worlds.loop(budget=Budget(iterations=9, usd_micros=500_000)), world)
    assert 0 < state.kept < state.iteration
    blobs = MemoryBlobs()
    told = progress(
        state,
        "o7",
        123,
        blobs,
        claimed_done=True,
        seen=(seen("2 of 30 tests fail: test_a", False), seen("old", None, "progress")),
    )
    text = blobs.get(told.content).decode()
    assert (told.id, told.source, told.taken_at_ms, told.trust, told.goal_met) == (
        "o7",
        "progress",
        123,
        "untrusted",
        None,
    )
    assert told.summary == f"9 iterations so far, {state.kept} kept"
    assert text.startswith("You said that it is done; the check says: 2 of 30 tests fail: test_a.")
    assert f"So far: 9 iterations, {state.kept} kept." in text
    assert f"Left of the budget: 0 iterations, ${(500_000 - state.spent.usd_micros) / 1e6:.2f}." in text
    assert text.count("- iteration ") == state.kept
    assert "edit 0" in text


def test_without_a_newer_look_the_state_s_own_observations_are_told() -> None:
    state, _ = worlds.play(worlds.loop(budget=Budget(iterations=1)), worlds.World(random.Random(1), green_after=99))
    state = msgspec.structs.replace(state, observations=(seen("3 of 4 tests fail", False),))
    blobs = MemoryBlobs()
    assert "the check says: 3 of 4 tests fail." in blobs.get(progress(state, "o", 0, blobs).content).decode()
