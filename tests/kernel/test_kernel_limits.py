"""Limits: reserved before, settled after; absent is unlimited, 0 is nothing left; the goal comes before any limit."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loopwright.kernel import events as ev
from loopwright.kernel.loop import StopRules
from loopwright.kernel.pending import advance
from loopwright.kernel.state import State
from loopwright.kernel.values import Budget, Spend
from support import worlds

limits = st.none() | st.integers(0, 50)
spends = st.builds(Spend, st.integers(0, 50), st.integers(0, 50), st.integers(0, 50), st.integers(0, 50))


@given(st.builds(Budget, limits, limits, limits, limits), spends)
def test_an_absent_limit_stays_absent_and_a_present_one_never_goes_below_nothing(budget: Budget, spend: Spend) -> None:
    left = budget.minus(spend)
    for name in ("usd_micros", "tokens", "wall_ms", "iterations"):
        limit, after = getattr(budget, name), getattr(left, name)
        assert after is None if limit is None else after == max(0, limit - getattr(spend, name))


@given(st.builds(Budget, limits, limits, limits, limits), st.builds(Budget, limits, limits, limits, limits))
def test_a_budget_only_narrows(one: Budget, other: Budget) -> None:
    both = one.narrowed(other)
    for name in ("usd_micros", "tokens", "wall_ms", "iterations"):
        given_limits = [v for v in (getattr(one, name), getattr(other, name)) if v is not None]
        assert getattr(both, name) == (min(given_limits) if given_limits else None)
    assert both == other.narrowed(one)


def test_nothing_left_is_short_of_even_a_free_action_and_unlimited_never_is() -> None:
    assert Budget(usd_micros=0).short_of(Spend()) == "usd"
    assert Budget(tokens=0).short_of(Spend()) == "tokens"
    assert Budget().short_of(Spend(usd_micros=10**12, tokens=10**12)) is None
    assert Budget(usd_micros=5).short_of(Spend(usd_micros=5)) is None
    assert Budget(usd_micros=5).short_of(Spend(usd_micros=6)) == "usd"


@settings(deadline=None)
@given(
    st.integers(0, 2**32),
    st.integers(1, 400),
    st.integers(1, 40),
    st.integers(1, 4),
    st.sampled_from([0.0, 0.2]),
)
def test_money_is_never_exceeded_when_actions_cost_at_most_their_reserve(
    seed: int, limit: int, reserve: int, jobs: int, unknown_rate: float
) -> None:
    """Reserve before, settle after. An action without outcome is charged its whole reserve, also at a crash."""
    world = worlds.World(
        random.Random(seed),
        green_after=99,
        unknown_rate=unknown_rate,
        spend=lambda rng: Spend(),
    )
    inner = world.answer

    def answer(state: State, action_id: str) -> ev.Body:
        body = inner(state, action_id)
        if isinstance(body, ev.Proposed):
            cost = Spend(world.rng.randint(0, reserve), world.rng.randint(0, reserve))
            return ev.Proposed(body.action_id, body.proposals, False, None, None, body.summary, cost)
        return body

    world.answer = answer  # type: ignore[method-assign]
    loop = worlds.loop(
        budget=Budget(usd_micros=limit, iterations=400),
        reserve=Spend(usd_micros=reserve),
        stop=StopRules(error_rate=None),
    )
    state, _ = worlds.play(loop, world, jobs=jobs)
    assert state.spent.usd_micros <= limit


@given(st.integers(0, 2**32), st.integers(1, 200), st.integers(1, 60))
def test_an_action_that_costs_more_than_it_reserved_overshoots_once(seed: int, limit: int, cost: int) -> None:
    world = worlds.World(random.Random(seed), green_after=99, keep_rate=0.0)
    inner = world.answer

    def answer(state: State, action_id: str) -> ev.Body:
        body = inner(state, action_id)
        if isinstance(body, ev.Proposed):
            return ev.Proposed(body.action_id, body.proposals, False, None, None, body.summary, Spend(tokens=cost))
        return body

    world.answer = answer  # type: ignore[method-assign]
    state, _ = worlds.play(
        worlds.loop(budget=Budget(tokens=limit, iterations=400), stop=StopRules(plateau=None)), world
    )
    assert state.finished is not None
    assert state.finished.reason == "tokens"
    assert limit <= state.spent.tokens < limit + cost


@given(st.integers(0, 2**32), st.integers(1, 12))
def test_no_run_begins_more_iterations_than_allowed(seed: int, limit: int) -> None:
    world = worlds.World(random.Random(seed), green_after=99, fail_rate=0.1)
    state, events = worlds.play(worlds.loop(budget=Budget(iterations=limit)), world, jobs=2)
    assert sum(isinstance(e.body, ev.Planned) for e in events) <= limit
    assert state.iteration <= limit


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_reaching_the_goal_on_the_last_allowed_iteration_is_success(limit: int) -> None:
    world = worlds.World(random.Random(1), green_after=limit, keep_rate=1.0)
    inner = world.answer

    def answer(state: State, action_id: str) -> ev.Body:
        while True:
            body = inner(state, action_id)
            if not isinstance(body, ev.Proposed) or body.proposals:
                return body

    world.answer = answer  # type: ignore[method-assign]
    state, _ = worlds.play(worlds.loop(budget=Budget(iterations=limit)), world)
    assert state.iteration == limit
    assert state.finished is not None
    assert (state.finished.reason, state.finished.exit_code) == ("goal", 0)


def test_a_run_whose_goal_is_met_at_the_start_has_nothing_to_do_and_costs_no_iteration() -> None:
    state, _ = worlds.play(worlds.loop(), worlds.World(random.Random(1), green_after=0))
    assert state.finished is not None
    assert (state.finished.reason, state.finished.exit_code, state.iteration) == ("nothing_to_do", 0, 0)


def test_minutes_are_counted_in_active_time() -> None:
    world = worlds.World(random.Random(3), green_after=99, keep_rate=0.0)
    state, _ = worlds.play(worlds.loop(budget=Budget(wall_ms=60_000)), world, step_ms=5_000)
    assert state.finished is not None
    assert state.finished.reason == "minutes"
    assert state.active_ms >= 60_000


def test_a_search_is_given_no_more_time_than_the_run_has_left() -> None:
    state, _ = advance(None, [worlds.started(worlds.loop(budget=Budget(wall_ms=90_000)))], 0)
    world = worlds.World(random.Random(1), green_after=99)
    state, _ = advance(state, [world.answer(state, "a1")], 10_000)
    state, _ = advance(state, [world.answer(state, "a2")], 30_000)
    assert state.inflight[0].action.timeout_s == 60


def test_a_person_may_give_a_run_more_and_it_goes_on() -> None:
    world = worlds.World(random.Random(5), green_after=99, keep_rate=0.0)

    def meddle(state: State, rng: random.Random) -> list[ev.Body]:
        return [ev.LimitsChanged("me", Budget(iterations=5))] if state.iteration == 2 else []

    state, _ = worlds.play(worlds.loop(budget=Budget(iterations=3)), world, meddle=meddle)
    assert state.iteration == 5
