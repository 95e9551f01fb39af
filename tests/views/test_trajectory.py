"""Scores of a run from its journal alone."""

from hypothesis import given

from loopwright.kernel import events as ev
from loopwright.kernel import values as val
from loopwright.views.trajectory import trajectory_view
from support.streams import BASE_TREE, Stream, oid, prefixes


@given(prefixes())
def test_shares_stay_between_none_and_all(events: list[ev.Event]) -> None:
    t = trajectory_view(events)
    assert 0 <= t.wasted_steps <= t.actions
    assert 0 <= t.repeated_actions <= max(0, t.actions - 1)
    assert t.judged <= t.proposals
    assert (t.success is None) == (t.stop_reason is None)


def test_a_run_that_reached_its_goal() -> None:
    t = trajectory_view(Stream().fixed().events)
    assert (t.success, t.iterations, t.proposals, t.judged, t.kept, t.crashes) == (True, 1, 3, 3, 1, 1)
    assert (t.best_score, t.last_kept_score) == (3.0, 3.0)


def test_only_what_did_not_lead_to_the_kept_state_is_wasted() -> None:
    """Of a run with a keep: the two judgements that lost, and nothing else."""
    assert trajectory_view(Stream().fixed().events).wasted_steps == 2


def test_an_iteration_that_kept_nothing_is_wasted_once_it_is_over() -> None:
    stream = Stream()
    stream.start()
    stream.driver()
    stream.observe()
    stream.plan(1)
    proposal = stream.proposal()
    stream.propose(proposal)
    stream.judge(proposal, "fail")
    assert trajectory_view(stream.events).wasted_steps == 0
    stream.decide(val.Revert(), "nothing passed")
    stream.plan(2)
    assert trajectory_view(stream.events).wasted_steps == 3


def test_the_same_action_on_the_same_input_is_a_repetition() -> None:
    stream = Stream()
    stream.start()
    stream.observe()
    stream.observe()
    stream.observe(oid("another tree"))
    t = trajectory_view(stream.events)
    assert (t.repeated_actions, t.repeated_action_rate) == (1, 1 / 3)


def test_time_to_first_progress_is_time_at_work() -> None:
    stream = Stream(step_ms=1_000)
    stream.start()
    stream.driver()
    stream.intend(val.Observe(BASE_TREE))
    stream.driver(after_ms=3_600_000)
    stream.plan(1)
    proposal = stream.proposal()
    stream.propose(proposal)
    assert trajectory_view(stream.events).time_to_first_progress_ms is None
    stream.keep(proposal, 1)
    t = trajectory_view(stream.events)
    # One second before the crash, seven events after it.
    assert (t.time_to_first_progress_ms, t.interruptions) == (8_000, 1)


def test_a_proposal_that_is_judged_differently_is_a_flake() -> None:
    stream = Stream()
    stream.start()
    stream.plan(1)
    steady, shaky, unsure = (stream.proposal(str(n), content=str(n)) for n in range(3))
    stream.propose(steady, shaky, unsure)
    for proposal, statuses in ((steady, ("fail", "fail")), (shaky, ("fail", "pass")), (unsure, ("inconclusive",))):
        for status in statuses:
            stream.judge(proposal, status)
    assert trajectory_view(stream.events).flakes == 2


def test_failures_are_counted_by_how_they_ended() -> None:
    stream = Stream()
    stream.start()
    for status in ("error", "timeout", "timeout", "denied", "cancelled"):
        stream.fail(val.MakePlan(BASE_TREE, 0), status)
    t = trajectory_view(stream.events)
    assert (t.errors, t.timeouts, t.denials, t.wasted_steps) == (1, 2, 1, 5)
