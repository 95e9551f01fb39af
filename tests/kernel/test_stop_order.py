"""All rules together: the goal first, every reason has its exit code, and an iteration that was planned may still act."""

from typing import Any, get_args

from hypothesis import given
from hypothesis import strategies as st

from loopwright.kernel.history import Turn
from loopwright.kernel.loop import StopRules
from loopwright.kernel.state import Mark, State
from loopwright.kernel.stop import EXIT_CODES, check
from loopwright.kernel.stop.order import BETWEEN, RULES
from loopwright.kernel.values import Budget, Spend, StopReason
from support.stopping import METRIC, state_of

marks = st.lists(
    st.sampled_from(
        [Mark("propose", "ok", ""), Mark("propose", "error", "e", "broke"), Mark("observe", "timeout", "t")]
    ),
    max_size=10,
).map(tuple)
some = st.none() | st.integers(0, 30)
turns = st.lists(
    st.builds(
        Turn,
        st.integers(1, 200),
        st.just(0),
        st.booleans(),
        st.none() | st.floats(-10, 10),
        usd_micros=st.integers(0, 1000),
        signature=st.sampled_from(["", "a", "b"]),
    ),
    max_size=60,
).map(tuple)


@st.composite
def states(draw: st.DrawFn) -> State:
    rules = StopRules(
        plateau=draw(st.none() | st.just("auto") | st.integers(0, 20)),  # type: ignore[arg-type]
        repeated_error=draw(some),
        error_rate=draw(st.none() | st.floats(0, 1)),
        worth_usd_micros=draw(st.none() | st.floats(0, 1e6)),
        cycle=draw(some),
        drift=draw(some),
        disagreements=draw(some),
        denials=draw(some),
    )
    fields: dict[str, Any] = {
        "iteration": draw(st.integers(0, 40)),
        "active_ms": draw(st.integers(0, 40)),
        "spent": Spend(draw(st.integers(0, 40)), draw(st.integers(0, 40))),
        "kept": draw(st.integers(0, 5)),
        "marks": draw(marks),
        "repeats": draw(st.integers(0, 5)),
        "denials": draw(st.integers(0, 5)),
        "disagreements": draw(st.integers(0, 5)),
        "turns": draw(turns),
        "goal_met": draw(st.sampled_from([None, False, True])),
        "stop_requested": draw(st.sampled_from([None, "enough"])),
        "impossible_agreed": draw(st.booleans()),
        "impossible": "because",
    }
    budget = Budget(draw(some), draw(some), draw(some), draw(some))
    metric = draw(st.sampled_from([None, METRIC]))
    return state_of(rules, metric=metric, budget=budget, **fields)


@given(states(), st.booleans())
def test_the_first_rule_that_holds_is_the_one_that_ends_the_run(state: State, begun: bool) -> None:
    endings = [rule(state) for rule in RULES if not (begun and rule in BETWEEN)]
    assert check(state, begun=begun) == next((ending for ending in endings if ending is not None), None)


@given(states())
def test_a_goal_that_is_met_is_success_whatever_else_is_used_up(state: State) -> None:
    ending = check(state)
    if state.goal_met:
        assert ending is not None
        assert EXIT_CODES[ending.reason] == 0
    else:
        assert ending is None or EXIT_CODES[ending.reason] != 0


@given(states())
def test_what_a_person_said_comes_before_every_limit(state: State) -> None:
    if state.stop_requested is None or state.goal_met:
        return
    for begun in (False, True):
        ending = check(state, begun=begun)
        assert ending is not None
        assert (ending.reason, ending.why) == ("stopped", "enough")


@given(states())
def test_what_ends_an_iteration_that_was_planned_would_have_ended_it_before_it_was(state: State) -> None:
    if check(state, begun=True) is not None:
        assert check(state) is not None


@given(states())
def test_every_ending_has_a_reason_and_words(state: State) -> None:
    ending = check(state)
    assert ending is None or (ending.reason in EXIT_CODES and ending.why)


def test_every_reason_has_its_exit_code() -> None:
    assert set(EXIT_CODES) == set(get_args(StopReason))
    assert {r for r, code in EXIT_CODES.items() if code == 5} == {
        *("plateau", "diminishing", "drift", "noise", "cycle", "repeated_error", "exhausted")
    }
    assert EXIT_CODES["disagreement"] == 1
    assert EXIT_CODES["refused"] == 6


def test_a_run_that_just_began_is_ended_by_no_default() -> None:
    assert check(state_of()) is None
    assert check(state_of(metric=METRIC)) is None
