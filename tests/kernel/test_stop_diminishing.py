"""Diminishing returns: in dollars where a gain has a worth, and without one when the gains have faded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwright.kernel.history import Turn
from loopwright.kernel.loop import StopRules
from loopwright.kernel.stop.diminishing import balance_usd_micros, diminishing, faded, pays
from support.stopping import METRIC, state_of, turns_of, with_turns

gains = st.lists(st.none() | st.floats(-5, 50), min_size=1, max_size=120)
DOLLAR = 1_000_000


@given(gains, st.integers(1, DOLLAR), st.floats(0, 10 * DOLLAR))
def test_the_balance_is_the_discounted_sum_of_worth_less_cost_and_a_credit_that_fades(
    made: list[float | None], cost: int, worth: float
) -> None:
    ages = range(len(made) - 1, -1, -1)
    net = sum(0.98**age * ((gain or 0.0) * worth - cost) for age, gain in zip(ages, made, strict=True))
    expected = net + 0.98 ** len(made) * 70 * cost
    assert balance_usd_micros(turns_of(made, usd_micros=cost), worth) == pytest.approx(expected, rel=1e-9, abs=1e-3)


@given(st.lists(st.floats(1, 50), min_size=1, max_size=200), st.integers(1, DOLLAR))
def test_a_run_in_which_every_iteration_pays_is_never_ended_for_its_cost(made: list[float], cost: int) -> None:
    for n in range(1, len(made) + 1, 7):
        assert balance_usd_micros(turns_of(list(made[:n]), usd_micros=cost), float(cost)) >= 0


@given(st.integers(1, DOLLAR), st.floats(0, 10.0 * DOLLAR))
def test_a_run_that_never_brings_anything_ends_after_44_iterations_whatever_they_cost(cost: int, worth: float) -> None:
    state = state_of(StopRules(plateau=None, worth_usd_micros=worth), metric=METRIC)
    assert diminishing(with_turns(state, turns_of([None] * 43, usd_micros=cost))) is None
    ending = diminishing(with_turns(state, turns_of([None] * 44, usd_micros=cost)))
    assert ending is not None
    assert (ending.reason, "$" in ending.why) == ("diminishing", True)


@given(gains, st.integers(1, 1000), st.integers(1, 1000))
def test_a_currency_makes_no_difference(made: list[float | None], cost: int, rate: int) -> None:
    one = balance_usd_micros(turns_of(made, usd_micros=cost), 300.0)
    other = balance_usd_micros(turns_of(made, usd_micros=cost * rate), 300.0 * rate)
    assert other == pytest.approx(one * rate, rel=1e-6, abs=1e-6 * rate * cost)


@given(gains)
def test_where_only_time_is_spent_nothing_is_said_of_worth(made: list[float | None]) -> None:
    state = state_of(StopRules(plateau=None, worth_usd_micros=1.0), metric=METRIC)
    assert diminishing(with_turns(state, turns_of(made))) is None


@given(st.floats(1e-9, 1e9), st.floats(0, 0.3), st.integers(0, 200))
def test_gains_that_come_at_one_rate_never_count_as_faded(size: float, spread: float, number: int) -> None:
    made: list[float | None] = [size * (1 + spread * (-1) ** n) for n in range(number)]
    assert not faded(turns_of(made))


@given(gains, st.sampled_from([2.0**-20, 2.0**20]))
def test_the_unit_of_the_metric_makes_no_difference(made: list[float | None], unit: float) -> None:
    assert faded(turns_of(made)) == faded(turns_of([None if g is None else g * unit for g in made]))


@given(st.lists(st.floats(1, 50), min_size=5, max_size=20), st.integers(120, 236))
def test_gains_that_came_once_and_come_no_more_have_faded(made: list[float], dry: int) -> None:
    assert faded(turns_of([*made, *([None] * dry)]))


@given(st.lists(st.none() | st.floats(0, 50), max_size=29))
def test_a_young_run_has_not_faded(made: list[float | None]) -> None:
    assert not faded(turns_of(made))


def test_a_few_keeps_that_measured_worse_in_a_young_run_are_noise() -> None:
    assert not faded(turns_of([100.0, *([-8.0] * 11)]))


def test_what_was_scored_and_not_kept_is_no_gain() -> None:
    reverted = [Turn(n, 0, False, 5.0, usd_micros=1) for n in range(1, 45)]
    assert balance_usd_micros(reverted, 1.0) < 0


def test_one_big_gain_and_then_nothing_is_no_trend() -> None:
    assert not faded(turns_of([100.0, *([None] * 80)]))


def shrinking() -> list[float | None]:
    return [0.8**n for n in range(60)]


def test_the_default_ends_a_metric_loop_whose_gains_have_faded_although_each_iteration_keeps_something() -> None:
    ending = diminishing(with_turns(state_of(metric=METRIC), turns_of(shrinking())))
    assert ending is not None
    assert ending.why == "the last iterations brought less than 10% of what an iteration of this run brought"


def test_small_gains_that_still_pay_are_worth_going_on_for() -> None:
    turns = turns_of([1000 * 0.8**n for n in range(60)], usd_micros=100)
    assert faded(turns)
    assert pays(turns, 100.0)
    assert diminishing(with_turns(state_of(StopRules(worth_usd_micros=100.0), metric=METRIC), turns)) is None
    assert diminishing(with_turns(state_of(metric=METRIC), turns)) is not None


def test_a_loop_that_makes_tests_pass_is_left_alone_and_so_is_one_with_its_own_plateau() -> None:
    assert diminishing(with_turns(state_of(), turns_of(shrinking()))) is None
    for own in (StopRules(plateau=99), StopRules(plateau=None)):
        assert diminishing(with_turns(state_of(own, metric=METRIC), turns_of(shrinking()))) is None
