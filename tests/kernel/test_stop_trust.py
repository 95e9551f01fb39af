"""Doubt: a holdout that falls, noise that swamps the difference asked for, judges that disagree, a policy that refuses."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwright.kernel.loop import Metric, StopRules
from loopwright.kernel.ratchet import measured, start
from loopwright.kernel.ratchet.record import Held, Ratchet
from loopwright.kernel.sample import Sample
from loopwright.kernel.stop import asks_for_person, check
from loopwright.kernel.stop.said import refused
from loopwright.kernel.stop.trust import drift, noise
from loopwright.kernel.values import Measure
from support.stopping import METRIC, state_of

HELD = msgspec.structs.replace(METRIC, holdout="measure --held-out")
limits = st.none() | st.integers(0, 5)


def fallen(times: int, metric: Metric) -> Ratchet:
    """A ratchet whose last `times` keeps each lost one unit on the held-out data."""
    sign = 1 if metric.goal == "max" else -1
    top = Held((10.0,))
    if times == 0:
        return Ratchet(holdout=top, holdout_before=top)
    now, before = (Held((10.0 - sign * n,)) for n in (times, times - 1))
    return Ratchet(holdout=now, holdout_before=before, holdout_top=top, falls=times - 1)


@given(st.integers(0, 5), limits, st.sampled_from(["max", "min"]))
def test_a_run_ends_when_the_holdout_fell_in_as_many_keeps_as_the_loop_says(
    falls: int, limit: int | None, goal: str
) -> None:
    metric = msgspec.structs.replace(HELD, goal=goal)
    ending = drift(state_of(StopRules(drift=limit), metric=metric, ratchet=fallen(falls, metric)))
    assert (ending is not None) is (limit is not None and falls >= max(limit, 1))
    assert ending is None or (ending.reason == "drift" and "score" in ending.why)


def calibrated(values: list[float]) -> Ratchet:
    ratchet = start()
    for value in values:
        ratchet = measured(ratchet, Measure("b" * 40, None, "calibrate"), Sample("ok", value), METRIC)
    return ratchet


@given(st.floats(0, 100), st.integers(0, 2**16))
def test_a_run_ends_before_it_begins_exactly_when_the_noise_swamps_the_smallest_effect(
    size: float, offset: int
) -> None:
    """Eight runs of the unchanged base that differ by 2 · size; min_effect is 1."""
    ratchet = calibrated([offset + size * (-1) ** n for n in range(8)])
    ending = noise(state_of(metric=METRIC, ratchet=ratchet))
    if size < 0.5:
        assert ending is None
    if size > 5:
        assert ending is not None
        assert ending.reason == "noise"
        assert "pairs" in ending.why


def test_a_base_without_any_number_is_a_fault_of_the_input_and_no_noise() -> None:
    missing = measured(start(), Measure("b" * 40, None, "calibrate"), Sample("missing", message="no line"), METRIC)
    ending = noise(state_of(metric=METRIC, ratchet=missing))
    assert ending is not None
    assert ending.reason == "cannot_observe"
    assert "METRIC score=" in ending.why


def test_a_run_that_measures_nothing_neither_drifts_nor_is_noisy() -> None:
    for state in (state_of(), state_of(metric=METRIC), state_of(ratchet=fallen(5, HELD))):
        assert drift(state) is None
        assert noise(state) is None


@given(st.integers(0, 9), limits)
def test_a_person_is_asked_and_the_run_not_ended_when_the_judges_disagree_again_and_again(
    times: int, limit: int | None
) -> None:
    state = state_of(StopRules(disagreements=limit), disagreements=times)
    question = asks_for_person(state)
    assert (question is not None) is (limit is not None and times >= max(limit, 1))
    assert question is None or f"{times} iteration" in question
    assert check(state) is None


@given(st.integers(0, 9), limits)
def test_the_policy_ends_a_run_after_as_many_refusals_as_the_loop_says(times: int, limit: int | None) -> None:
    ending = refused(state_of(StopRules(denials=limit), denials=times))
    assert (ending is not None) is (limit is not None and times >= max(limit, 1))
    assert ending is None or ending.reason == "refused"


@pytest.mark.parametrize("begun", [False, True])
def test_a_refusal_ends_the_run_before_the_next_act_and_not_only_between_iterations(begun: bool) -> None:
    ending = check(state_of(denials=2), begun=begun)
    assert ending is not None
    assert ending.reason == "refused"
