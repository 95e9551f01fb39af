"""Plateaus: patience follows the run's own rate of keeps, and a steady run is not ended by chance."""

import math
import random

from hypothesis import given
from hypothesis import strategies as st

from loopwright.kernel.history import Turn
from loopwright.kernel.loop import StopRules
from loopwright.kernel.stop.plateau import FLOOR, patience, plateau
from support.stopping import state_of, turns_of, with_turns

AUTO = StopRules(plateau="auto")


@st.composite
def rates(draw: st.DrawFn) -> tuple[int, int]:
    iterations = draw(st.integers(0, 400))
    return draw(st.integers(0, iterations)), iterations


@given(rates())
def test_patience_is_the_shortest_drought_that_the_runs_own_rate_makes_unlikely(rate: tuple[int, int]) -> None:
    kept, iterations = rate
    p = (kept + 1) / (iterations + 13)
    drought, unlikely = patience(kept, iterations), 0.05 / (kept + 1)
    assert drought >= FLOOR
    assert (1 - p) ** drought <= unlikely * (1 + 1e-9)
    assert drought == FLOOR or (1 - p) ** (drought - 1) > unlikely * (1 - 1e-9)


@given(rates())
def test_patience_grows_with_the_iterations_that_a_keep_took_and_shrinks_with_the_keeps(rate: tuple[int, int]) -> None:
    kept, iterations = rate
    assert patience(kept, iterations + 1) >= patience(kept, iterations)
    if kept < iterations:
        assert patience(kept + 1, iterations) <= patience(kept, iterations)


def test_before_the_first_keep_it_is_the_plain_formula_of_the_prior() -> None:
    assert patience(0, 0) == math.ceil(math.log(0.05) / math.log(1 - 1 / 13)) == 38


@given(st.lists(st.booleans(), max_size=120))
def test_the_rule_ends_a_run_exactly_when_the_drought_is_as_long_as_patience(kept: list[bool]) -> None:
    state = with_turns(state_of(AUTO), turns_of([1.0 if k else None for k in kept]))
    dry = state.iteration - state.last_keep_iteration
    ending = plateau(state)
    assert (ending is not None) is (dry >= patience(state.kept, state.last_keep_iteration))
    assert ending is None or ending.reason == "plateau"


@given(st.integers(1, 60), st.integers(0, 60), st.integers(0, 60))
def test_a_fixed_number_counts_iterations_since_the_last_keep_and_no_number_is_no_rule(
    limit: int, last_keep: int, dry: int
) -> None:
    for rules, ended in ((StopRules(plateau=limit), dry >= limit), (StopRules(plateau=None), False)):
        state = state_of(rules, iteration=last_keep + dry, last_keep_iteration=last_keep, kept=int(last_keep > 0))
        assert (plateau(state) is not None) is ended


def test_a_rung_that_took_over_is_not_ended_by_the_drought_of_the_one_below_it() -> None:
    dry = [Turn(n, 0, False) for n in range(1, 38)]
    fresh = [Turn(n, 1, False) for n in range(38, 60)]
    assert plateau(with_turns(state_of(AUTO, rungs=2, rung=1), dry + fresh)) is None
    alone = [Turn(n, 1, False) for n in range(38, 38 + 38)]
    assert plateau(with_turns(state_of(AUTO, rungs=2, rung=1), dry + alone)) is not None
    assert plateau(with_turns(state_of(AUTO), [Turn(n, 0, False) for n in range(1, 39)])) is not None


def test_a_run_longer_than_the_window_still_ends() -> None:
    """One keep in 200 iterations makes for a patience that no window of 256 can show."""
    assert patience(1, 200) == 392
    turns = [Turn(n, 0, False) for n in range(336, 592)]
    for iteration, ended in ((591, False), (592, True)):
        state = state_of(AUTO, iteration=iteration, kept=1, last_keep_iteration=200, turns=tuple(turns))
        assert (plateau(state) is not None) is ended


def test_a_run_that_keeps_at_one_rate_is_rarely_ended_by_chance() -> None:
    """One keep in three: the plain formula, .05 for each drought, ends two thirds of these runs within 200 iterations."""
    rng = random.Random(7)
    ended = 0
    for _ in range(300):
        kept = last = 0
        for n in range(1, 201):
            if rng.random() < 1 / 3:
                kept, last = kept + 1, n
            elif n - last >= patience(kept, last):
                ended += 1
                break
    assert ended < 0.2 * 300
