"""The fold: deterministic, composable, and closed against events that the phase does not allow."""

import random
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwright.errors import IllegalTransition
from loopwright.kernel import events as ev
from loopwright.kernel.fold import apply, fold
from loopwright.kernel.pending import advance, pending
from loopwright.kernel.state import State
from loopwright.kernel.transitions import LIVE, OVERLAY, TABLE, diagram, label_of, next_phase
from loopwright.kernel.values import Budget, Spend
from support import worlds


@st.composite
def runs(draw: st.DrawFn) -> tuple[State, list[ev.Event]]:
    world = worlds.World(
        rng=random.Random(draw(st.integers(0, 2**32))),
        green_after=draw(st.integers(0, 4)),
        keep_rate=draw(st.sampled_from([0.0, 0.2, 0.9])),
        fail_rate=draw(st.sampled_from([0.0, 0.1, 0.6])),
        unknown_rate=draw(st.sampled_from([0.0, 0.2])),
        exhaust_rate=draw(st.sampled_from([0.0, 0.3])),
        repeat_rate=draw(st.sampled_from([0.0, 0.8])),
    )
    loop = worlds.loop(rungs=draw(st.integers(1, 3)), budget=Budget(iterations=draw(st.integers(1, 8))))
    return worlds.play(loop, world, jobs=draw(st.integers(1, 4)))


@given(runs(), st.data())
def test_folding_a_prefix_and_then_the_rest_is_folding_all(
    run: tuple[State, list[ev.Event]], data: st.DataObject
) -> None:
    state, events = run
    cut = data.draw(st.integers(0, len(events)))
    assert fold(events[cut:], fold(events[:cut])) == fold(events) == state


@given(runs())
def test_every_run_ends_or_waits_for_a_person(run: tuple[State, list[ev.Event]]) -> None:
    state, _ = run
    assert state.phase == "finished" or state.paused is not None or state.asks
    assert pending(state) == ()


@given(runs())
def test_what_follows_without_an_effect_is_recomputed_from_the_state_alone(run: tuple[State, list[ev.Event]]) -> None:
    """Each decision and intent in the journal is the one that `pending` gives for the state before it: what replay proves."""
    _, events = run
    state: State | None = None
    for event in events:
        if isinstance(event.body, ev.Decided | ev.RunFinished | ev.ActionIntended | ev.Asked | ev.RunPaused):
            assert state is not None
            _, bodies = advance(state, (), event.at_ms)
            assert event.body in bodies
        state = apply(state, event.body, event.at_ms)


@given(runs(), st.data())
def test_an_event_that_the_phase_forbids_raises_and_changes_nothing(
    run: tuple[State, list[ev.Event]], data: st.DataObject
) -> None:
    _, events = run
    state = fold(events[: data.draw(st.integers(1, len(events)))])
    other = data.draw(st.sampled_from(events)).body
    assert state is not None
    before = msgspec.json.encode(state)
    legal = (state.phase, label_of(other)) in TABLE or (label_of(other) in OVERLAY and state.phase in LIVE)
    if legal:
        return
    with pytest.raises(IllegalTransition, match=r"expected one of"):
        apply(state, other, state.last_at_ms)
    assert msgspec.json.encode(state) == before


def test_an_outcome_without_its_intent_is_refused() -> None:
    state, _ = advance(None, [worlds.started(worlds.loop())], 0)
    with pytest.raises(IllegalTransition, match="'a7': expected an intent without outcome"):
        apply(state, ev.Observed("a7", (), True, Spend()), 1)


def test_a_second_outcome_of_the_same_action_is_refused() -> None:
    state, _ = advance(None, [worlds.started(worlds.loop())], 0)
    failed = ev.ActionFailed("a1", "error", "no", "no", Spend())
    state = apply(state, failed, 1)
    with pytest.raises(IllegalTransition, match="'a1'"):
        apply(state, failed, 2)


def test_the_first_event_must_start_a_run() -> None:
    with pytest.raises(IllegalTransition, match="phase 'new': expected one of run_started"):
        apply(None, ev.RunPaused("why"), 0)


def test_every_phase_can_be_reached_and_left() -> None:
    reached = {"new"} | {target for (_, _), target in TABLE.items()}
    left = {source for source, _ in TABLE}
    assert reached - {"finished"} <= left
    assert reached == {"new", "finished", *LIVE}
    with pytest.raises(IllegalTransition, match="the run is finished"):
        next_phase("finished", "run_resumed")


def test_the_diagram_names_every_step_of_the_table() -> None:
    drawn = diagram()
    for (source, label), target in TABLE.items():
        if source not in ("new", target) and label != "run_forked":
            assert f"{source} --> {target}" in drawn
            assert label in drawn


@given(runs())
def test_active_time_never_runs_backwards_and_is_never_more_than_the_clock(run: tuple[State, list[ev.Event]]) -> None:
    _, events = run
    states = [fold(events[:n]) for n in range(1, len(events) + 1, max(1, len(events) // 20))]
    actives = [s.active_ms for s in states if s is not None]
    assert all(a <= b for a, b in pairwise(actives))
    assert actives[-1] <= events[-1].at_ms - events[0].at_ms


def test_time_between_a_dead_driver_and_the_next_does_not_count_as_active() -> None:
    state, _ = advance(None, [worlds.started(worlds.loop())], 0)
    state = apply(state, ev.DriverStarted("d", "host", 1, "0.1.0", "plain"), 60_000)
    assert state.active_ms == 0
    state = apply(state, ev.ActionFailed("a1", "unknown", "?", "?", Spend()), 61_000)
    assert state.active_ms == 1_000


def test_paused_time_does_not_count_as_active() -> None:
    state, _ = advance(None, [worlds.started(worlds.loop())], 0)
    state = apply(state, ev.RunPaused("lunch"), 1_000)
    state = apply(state, ev.RunResumed("me"), 3_601_000)
    state = apply(state, ev.DriverStarted("d", "host", 1, "0.1.0", "plain"), 3_602_000)
    state = apply(state, ev.ActionFailed("a1", "unknown", "?", "?", Spend()), 3_603_000)
    assert state.active_ms == 2_000


def test_what_a_person_asks_of_a_dead_run_does_not_make_its_dead_time_active() -> None:
    state, _ = advance(None, [worlds.started(worlds.loop())], 0)
    state = apply(state, ev.LimitsChanged("me", Budget(iterations=9)), 3_600_000)
    state = apply(state, ev.DriverStarted("d", "host", 1, "0.1.0", "plain"), 3_601_000)
    assert state.active_ms == 0
    state = apply(state, ev.ActionFailed("a1", "unknown", "?", "?", Spend()), 3_602_000)
    assert state.active_ms == 1_000
