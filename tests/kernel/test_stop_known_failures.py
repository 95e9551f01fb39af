"""What is known to go wrong with limits elsewhere, one test each. Reaching the goal on the last iteration: test_kernel_limits."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwright.kernel import events as ev
from loopwright.kernel.fold import apply
from loopwright.kernel.history import Turn
from loopwright.kernel.loop import StopRules
from loopwright.kernel.pending import advance
from loopwright.kernel.state import Mark, State
from loopwright.kernel.stop import check
from loopwright.kernel.stop.faults import error_rate, repeated_error
from loopwright.kernel.values import Budget, Spend
from support import worlds
from support.stopping import state_of, with_turns

OK = Mark("propose", "ok", "")
BROKE = Mark("propose", "error", "it broke", "it broke")


@pytest.mark.parametrize(
    ("budget", "reason"),
    [
        (Budget(usd_micros=0), "usd"),
        (Budget(tokens=0), "tokens"),
        (Budget(wall_ms=0), "minutes"),
        (Budget(iterations=0), "iterations"),
    ],
)
def test_a_limit_of_zero_is_nothing_left_and_not_unlimited(budget: Budget, reason: str) -> None:
    ending = check(state_of(budget=budget))
    assert ending is not None
    assert ending.reason == reason


@pytest.mark.parametrize("rules", [StopRules(denials=0), StopRules(repeated_error=0), StopRules(cycle=0)])
def test_a_rule_set_to_zero_is_no_rule_switched_off(rules: StopRules) -> None:
    assert check(state_of(rules)) is None
    assert check(state_of(rules, denials=1, repeats=1, marks=(BROKE,))) is not None


def judged_at(cost: Spend, limit: int) -> State:
    """A run in which only judging costs anything."""
    world = worlds.World(random.Random(11), green_after=99, keep_rate=0.3)
    inner = world.answer

    def answer(state: State, action_id: str) -> ev.Body:
        body = inner(state, action_id)
        if isinstance(body, ev.Judged):
            return ev.Judged(body.action_id, body.proposal_id, body.verdicts, cost)
        return body

    world.answer = answer  # type: ignore[method-assign]
    loop = worlds.loop(budget=Budget(usd_micros=limit, iterations=400), stop=StopRules(plateau=None, error_rate=None))
    return worlds.play(loop, world)[0]


@given(st.integers(10, 60))
def test_what_the_judges_and_their_second_looks_cost_is_counted(limit: int) -> None:
    state = judged_at(Spend(usd_micros=3), limit)
    assert state.finished is not None
    assert state.finished.reason == "usd"
    # the last iteration may judge twice, and no further one is begun
    assert limit <= state.spent.usd_micros <= limit + 2 * 3


@given(st.integers(1, 20))
def test_actions_that_failed_cost_what_they_cost(cost: int) -> None:
    world = worlds.World(random.Random(5), green_after=99, fail_rate=0.4, spend=lambda rng: Spend(tokens=cost))
    loop = worlds.loop(budget=Budget(tokens=50, iterations=400), stop=StopRules(None, None, None))
    state, events = worlds.play(loop, world)
    spends = [e.body.spend.tokens for e in events if hasattr(e.body, "spend")]
    assert state.spent.tokens == sum(spends)
    failed = [e.body for e in events if isinstance(e.body, ev.ActionFailed)]
    assert all(f.spend.tokens == cost for f in failed)


def test_every_call_draws_on_the_one_remainder_and_none_is_given_the_whole_budget_again() -> None:
    state = state_of(budget=Budget(usd_micros=100))
    for number in range(3):
        call = f"c{number}"
        state = apply(state, ev.CallIntended(call, "key", Spend(usd_micros=40)), number)
        assert state.remaining().usd_micros == max(0, 100 - 40 * (number + 1))
    ending = check(state)
    assert ending is not None
    assert ending.reason == "usd"


def test_the_word_done_in_what_a_proposer_prints_ends_nothing() -> None:
    words = "DONE. COMPLETE. All tests pass. <promise>done</promise>"
    turns = [Turn(1, 0, False, offered=1, signature="s", title=words, why=words)]
    assert check(with_turns(state_of(said=words, lessons=(words,)), turns)) is None


def test_a_monitor_that_sees_failures_sees_successes_as_well() -> None:
    """Five failures among a hundred successes are no error rate, and three with successes in between are no repetition."""
    assert error_rate(state_of(marks=(OK, BROKE) * 5)) is None
    assert repeated_error(state_of(marks=(BROKE, BROKE, OK, BROKE))) is None
    assert error_rate(state_of(marks=(OK, BROKE, BROKE) * 3 + (OK,))) is not None


@given(st.lists(st.sampled_from([OK, BROKE, Mark("propose", "error", "other")]), max_size=10), st.integers(1, 4))
def test_the_same_error_ends_a_run_exactly_when_it_came_that_often_in_a_row(marks: list[Mark], limit: int) -> None:
    ending = repeated_error(state_of(StopRules(repeated_error=limit), marks=tuple(marks)))
    last = marks[-limit:]
    assert (ending is not None) is (len(last) == limit and last[0].status != "ok" and all(m == last[0] for m in last))


@given(st.lists(st.sampled_from([OK, BROKE]), max_size=10), st.floats(0, 1))
def test_the_error_rate_is_looked_at_over_ten_actions_and_never_over_fewer(marks: list[Mark], limit: float) -> None:
    failed = marks.count(BROKE)
    ending = error_rate(state_of(StopRules(error_rate=limit), marks=tuple(marks)))
    assert (ending is not None) is (len(marks) == 10 and failed > limit * 10)


def test_a_long_quiet_search_is_not_taken_for_dead() -> None:
    """Iterations that take an hour each and propose nothing are ended by their own limits, by no detector of silence."""
    turns = [Turn(n, 0, False, wall_ms=3_600_000) for n in range(1, 31)]
    assert check(with_turns(state_of(active_ms=30 * 3_600_000), turns)) is None


def test_an_idle_run_costs_nothing() -> None:
    """A run that waits for a person commands nothing: no heartbeat asks a model whether there is news."""
    state = state_of(pause_requested="lunch")
    state, bodies = advance(state, (), 1)
    assert [ev.kind_of(body) for body in bodies] == ["run_paused"]
    assert advance(state, (), 2)[1] == []
