"""The steps: ladder, decisions, stop rules, people."""

import random
from collections.abc import Callable

import pytest

from loopwright.kernel import events as ev
from loopwright.kernel.decide import decide
from loopwright.kernel.loop import StopRules
from loopwright.kernel.pending import UNKNOWN_LIMIT, advance
from loopwright.kernel.state import Judgement, State
from loopwright.kernel.stop import EXIT_CODES
from loopwright.kernel.values import (
    Budget,
    Change,
    Evaluate,
    Keep,
    Proposal,
    Propose,
    Retry,
    Revert,
    Spend,
    Verdict,
)
from support import worlds

PASS = Verdict("tests", "pass", "fixes 1 of 1", 5.0)
FAIL = Verdict("tests", "fail", "breaks test_b", 3.0)
DOUBT = Verdict("tests", "inconclusive", "passed once, failed once")
CRASH = Verdict("tests", "crash", "the suite died")


def proposal(name: str, files: int = 1) -> Proposal:
    changes = tuple(Change(f"{name}{n}.py", "100644", worlds.TEXT) for n in range(files))
    return Proposal(name, "command", f"edit {name}", "why", changes, name)


def acting(jobs: int = 2, **kw: object) -> State:
    """A run that waits for its first proposals."""
    state, _ = advance(None, [worlds.started(worlds.loop(**kw), jobs=jobs)], 0)  # type: ignore[arg-type]
    world = worlds.World(random.Random(0), green_after=9)
    state, _ = advance(state, [world.answer(state, "a1")], 1)
    state, _ = advance(state, [world.answer(state, "a2")], 2)
    assert state.phase == "acting"
    return state


def proposed(state: State, *proposals: Proposal, exhausted: bool = False, impossible: str | None = None) -> State:
    action_id = state.inflight[0].action.id
    body = ev.Proposed(action_id, proposals, exhausted, None, None, "s", Spend(), impossible)
    return advance(state, [body], state.last_at_ms + 1)[0]


def judged(state: State, **verdicts: Verdict) -> tuple[State, list[ev.Body]]:
    bodies: list[ev.Body] = []
    while state.phase == "evaluating" and state.inflight:
        work = state.inflight[0].action.work
        assert isinstance(work, Evaluate)
        fresh = ev.Judged(state.inflight[0].action.id, work.proposal_id, (verdicts[work.proposal_id],), Spend())
        state, more = advance(state, [fresh], state.last_at_ms + 1)
        bodies += more
    return state, bodies


def failing(state: State, status: str = "error", signature: str = "it broke") -> State:
    body = ev.ActionFailed(state.inflight[0].action.id, status, signature, signature, Spend())  # type: ignore[arg-type]
    return advance(state, [body], state.last_at_ms + 1)[0]


def decisions(bodies: list[ev.Body]) -> list[object]:
    return [b.decision for b in bodies if isinstance(b, ev.Decided)]


def test_as_many_proposals_are_judged_at_once_as_there_are_jobs() -> None:
    state = proposed(acting(jobs=2), proposal("x"), proposal("y"), proposal("z"))
    assert [f.action.work for f in state.inflight] == [
        Evaluate(state.head_tree, "x"),
        Evaluate(state.head_tree, "y"),
    ]
    assert len({f.action.id for f in state.inflight}) == 2
    state, bodies = advance(state, [ev.Judged(state.inflight[0].action.id, "x", (FAIL,), Spend())], 9)
    assert len(state.inflight) == 2
    assert any(isinstance(b, ev.ActionIntended) and b.action.work == Evaluate(state.head_tree, "z") for b in bodies)


def test_the_passing_proposal_is_kept_and_the_next_observation_is_of_its_tree() -> None:
    state, bodies = judged(proposed(acting(), proposal("x"), proposal("y")), x=FAIL, y=PASS)
    assert decisions(bodies) == [Keep("y")]
    assert state.phase == "keeping"
    state, bodies = advance(state, [ev.Kept(state.inflight[0].action.id, "y", 1, "c" * 40, "t" * 40, Spend())], 99)
    assert state.phase == "observing"
    assert state.inflight[0].action.work.tree == "t" * 40  # type: ignore[union-attr]


def test_among_passing_proposals_score_then_size_then_order_decide() -> None:
    better = Verdict("tests", "pass", "fixes 2 of 2", 6.0)
    _, bodies = judged(proposed(acting(jobs=3), proposal("x"), proposal("y")), x=PASS, y=better)
    assert decisions(bodies) == [Keep("y")]
    _, bodies = judged(proposed(acting(jobs=3), proposal("x", files=3), proposal("y")), x=PASS, y=PASS)
    assert decisions(bodies) == [Keep("y")]
    _, bodies = judged(proposed(acting(jobs=3), proposal("x"), proposal("y")), x=PASS, y=PASS)
    assert decisions(bodies) == [Keep("x")]
    assert any(isinstance(b, ev.Decided) and "1 other proposal passed as well" in b.why for b in bodies)


def test_doubt_is_judged_once_more_and_then_never_kept() -> None:
    state = proposed(acting(), proposal("x"))
    state, bodies = advance(state, [ev.Judged(state.inflight[0].action.id, "x", (DOUBT,), Spend())], 9)
    assert decisions(bodies) == [Retry(("x",))]
    state, bodies = advance(state, [ev.Judged(state.inflight[0].action.id, "x", (DOUBT,), Spend())], 10)
    assert decisions(bodies)[0] == Revert()


def test_a_pass_of_one_verifier_does_not_outweigh_the_fail_of_another() -> None:
    state = proposed(acting(), proposal("x"))
    both = ev.Judged(
        state.inflight[0].action.id, "x", (Verdict("scope", "fail", "outside permit.write"), PASS), Spend()
    )
    state, bodies = advance(state, [both], 9)
    assert decisions(bodies)[0] == Revert()


def test_a_judgement_without_verdicts_keeps_nothing() -> None:
    state = proposed(acting(), proposal("x"))
    state, bodies = advance(state, [ev.Judged(state.inflight[0].action.id, "x", (), Spend())], 9)
    assert decisions(bodies)[0] == Revert()


def test_a_proposal_that_cannot_be_judged_twice_counts_as_a_crash_and_the_run_goes_on() -> None:
    state = failing(failing(proposed(acting(), proposal("x"))))
    assert state.iteration == 1
    assert state.phase == "planning"
    assert any("it broke" in lesson for lesson in state.lessons)


def test_an_edit_that_was_judged_before_is_not_judged_again() -> None:
    state, _ = judged(proposed(acting(), proposal("x")), x=FAIL)
    state, _ = advance(state, [worlds.World(random.Random(0)).answer(state, state.inflight[0].action.id)], 99)
    state = proposed(state, proposal("x"))
    assert state.phase == "planning"
    assert state.repeats == 1


def test_an_exhausted_rung_escalates_and_a_keep_begins_at_the_cheapest_again() -> None:
    state, _ = judged(proposed(acting(rungs=2), proposal("x"), exhausted=True), x=FAIL)
    assert state.rung == 1
    state, _ = advance(state, [worlds.World(random.Random(0)).answer(state, state.inflight[0].action.id)], 99)
    assert isinstance(state.inflight[0].action.work, Propose)
    assert state.inflight[0].action.work.rung == 1
    state, _ = judged(proposed(state, proposal("y")), y=PASS)
    state, _ = advance(state, [ev.Kept(state.inflight[0].action.id, "y", 2, "c" * 40, "t" * 40, Spend())], 100)
    assert state.rung == 0


def test_when_the_last_rung_is_exhausted_the_run_stalls_with_exit_5() -> None:
    state, _ = judged(proposed(acting(), proposal("x"), exhausted=True), x=FAIL)
    assert state.ending is not None
    assert (state.ending.reason, EXIT_CODES[state.ending.reason]) == ("exhausted", 5)


def test_a_rung_that_keeps_failing_is_passed_over() -> None:
    state = acting(rungs=2, stop=StopRules(repeated_error=None))
    for _ in range(3):
        state = failing(state)
    assert state.rung == 1
    assert state.ending is None


def test_the_same_error_three_times_in_a_row_stops_a_run_that_has_no_other_rung() -> None:
    state = failing(failing(failing(acting())))
    assert state.ending is not None
    assert state.ending.reason == "repeated_error"


def test_more_errors_than_the_declared_rate_stop_the_run() -> None:
    """Each proposal comes only at the third try: 4 of the last 10 actions failed, where 3 in 10 are allowed."""
    state = acting(stop=StopRules(error_rate=0.3))
    world = worlds.World(random.Random(0), green_after=9, keep_rate=0.0)
    for n in range(40):
        if state.ending is not None:
            break
        if isinstance(state.inflight[0].action.work, Propose) and state.failures_in_a_row < 2:
            state = failing(state, signature=f"error {n}")
        elif isinstance(state.inflight[0].action.work, Propose):
            state = proposed(state, proposal(f"x{n}"))
        else:
            state, _ = advance(state, [world.answer(state, state.inflight[0].action.id)], 99)
    assert state.ending is not None
    assert (state.ending.reason, EXIT_CODES[state.ending.reason]) == ("error_rate", 1)
    assert "4 of the last 10" in state.ending.why


def test_only_known_edits_three_times_in_a_row_is_a_cycle() -> None:
    world = worlds.World(random.Random(2), green_after=9, keep_rate=0.0, repeat_rate=1.0)
    state, _ = worlds.play(worlds.loop(budget=Budget(iterations=200)), world)
    assert state.finished is not None
    assert (state.finished.reason, state.finished.exit_code) == ("cycle", 5)


def test_a_plateau_counts_iterations_since_the_last_keep() -> None:
    world = worlds.World(random.Random(2), green_after=9, keep_rate=0.0)
    state, _ = worlds.play(worlds.loop(stop=StopRules(plateau=4)), world)
    assert state.finished is not None
    assert (state.finished.reason, state.iteration) == ("plateau", 4)


def test_a_first_observation_that_cannot_be_made_is_the_inputs_fault() -> None:
    state, _ = advance(None, [worlds.started(worlds.loop())], 0)
    state = failing(failing(state), signature="tests: command not found: 'pytst'")
    assert state.ending is not None
    assert (state.ending.reason, EXIT_CODES[state.ending.reason]) == ("cannot_observe", 2)
    assert "pytst" in state.ending.why


def test_a_pause_waits_for_what_is_in_flight_and_then_nothing_is_pending() -> None:
    state = acting()
    state, bodies = advance(state, [ev.PauseRequested("me", "lunch")], 10)
    assert len(bodies) == 1
    state = failing(state, status="cancelled")
    assert state.paused == "lunch"
    assert not state.inflight
    state, bodies = advance(state, [ev.RunResumed("me")], 20)
    assert isinstance(state.inflight[0].action.work, Propose)
    assert state.failures_in_a_row == 0


def test_a_stop_by_a_person_ends_a_run_before_its_next_act_but_not_a_keep_that_was_decided() -> None:
    state, _ = judged(proposed(acting(), proposal("x")), x=PASS)
    state, _ = advance(state, [ev.StopRequested("me", "enough")], 50)
    state, _ = advance(state, [ev.Kept(state.inflight[0].action.id, "x", 1, "c" * 40, "t" * 40, Spend())], 51)
    assert state.kept == 1
    assert state.ending is not None
    assert (state.ending.reason, state.ending.why) == ("stopped", "enough")


def test_a_paused_run_can_be_stopped() -> None:
    state = acting()
    state, _ = advance(state, [ev.PauseRequested("me", "lunch")], 10)
    state = failing(state, status="cancelled")
    state, _ = advance(state, [ev.StopRequested("me", "enough")], 50)
    assert state.ending is not None
    assert state.ending.reason == "stopped"


@pytest.mark.parametrize(("answer", "after"), [("approve", "delivering"), ("deny", "delivering")])
def test_an_impossible_goal_is_put_to_a_person(answer: str, after: str) -> None:
    state = proposed(acting(), impossible="test_a and test_b contradict each other")
    assert [a.about for a in state.asks] == ["impossible"]
    assert not state.inflight
    body = ev.Answered("q1", answer, "me", "I looked")  # type: ignore[arg-type]
    state, _ = advance(state, [body], 60)
    assert state.phase == after
    assert state.ending is not None
    assert state.ending.reason == ("impossible" if answer == "approve" else "exhausted")


def test_a_step_that_is_interrupted_again_and_again_waits_for_a_person() -> None:
    state = acting()
    for _ in range(UNKNOWN_LIMIT):
        state = failing(state, status="unknown")
    assert state.paused is not None
    assert "interrupted" in state.paused
    state, _ = advance(state, [ev.RunResumed("me")], 99)
    assert state.inflight


def test_an_interruption_does_not_count_as_an_error_of_the_rung() -> None:
    state = acting()
    for _ in range(5):
        state = failing(state, status="unknown")
    assert state.marks[-1].status == "ok"
    assert state.phase == "acting"


def test_a_fork_of_a_run_that_was_stopping_plans_anew() -> None:
    state = failing(failing(failing(acting())))
    assert state.phase == "delivering"
    state, _ = advance(state, [ev.RunForked("parent", 9, "d" * 64, "loopwright/fix/new")], 99)
    assert state.phase == "planning"
    assert state.ending is None
    assert state.branch == "loopwright/fix/new"
    assert state.branch_commit is None


@pytest.mark.parametrize("make", [lambda: ()])
def test_a_proposal_set_that_is_empty_reverts(make: Callable[[], tuple[Proposal, ...]]) -> None:
    state = acting()
    body = ev.Proposed(state.inflight[0].action.id, make(), False, None, None, "s", Spend())
    _, bodies = advance(state, [body], 9)
    assert decisions(bodies)[0] == Revert()


def test_decide_needs_every_proposal_judged() -> None:
    state = proposed(acting(), proposal("x"), proposal("y"))
    with pytest.raises(KeyError):
        decide(state)
    assert Judgement("x", (PASS,)) not in state.judgements
