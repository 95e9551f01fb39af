"""What `status`, `show` and the reports say of a run."""

from dataclasses import dataclass

import pytest
from hypothesis import given

from loopwright.kernel import events as ev
from loopwright.kernel import values as val
from loopwright.views.fold import RunFold
from loopwright.views.run import RunView, run_view
from support.streams import BASE_TREE, START_MS, Stream, oid, prefixes


def view_of(stream: Stream, *, driven: bool = True) -> RunView:
    return run_view(stream.events, driven=driven)


class TestAnyPrefix:
    @given(prefixes())
    def test_every_prefix_of_a_run_has_a_view(self, events: list[ev.Event]) -> None:
        """A report is written of a run that was killed at any moment."""
        view = run_view(events, driven=False)
        assert view.events == len(events)
        assert view.status != "running"
        assert {p.commit for p in view.proposals if p.state == "kept"} == {k.commit for k in view.kept}

    @given(prefixes())
    def test_following_gives_what_folding_from_the_start_gives(self, events: list[ev.Event]) -> None:
        fold = RunFold()
        for n, event in enumerate(events, 1):
            fold.add(event)
            if n % 7 == 0:
                fold.view(driven=True)
        assert fold.view(driven=True) == run_view(events, driven=True)

    @given(prefixes())
    def test_the_view_survives_its_json_form(self, events: list[ev.Event]) -> None:
        import msgspec

        view = run_view(events, driven=False)
        assert msgspec.json.decode(msgspec.json.encode(view), type=RunView) == view

    def test_no_events_at_all_is_an_empty_run(self) -> None:
        view = run_view([], driven=False)
        assert (view.run_id, view.status, view.iteration, view.kept, view.started_at_ms) == (
            "",
            "interrupted",
            0,
            (),
            None,
        )


class TestAWholeRun:
    @pytest.fixture
    def view(self) -> RunView:
        return view_of(Stream().fixed(), driven=False)

    def test_it_says_how_it_ended_and_where_the_result_is(self, view: RunView) -> None:
        assert (view.status, view.stop_reason, view.exit_code) == ("finished", "goal", 0)
        assert view.places == ("branch loopwright/fix/run-1",)
        assert view.head_commit == view.kept[0].commit != view.base_commit
        assert view.kept[0].title == "use +"

    def test_every_proposal_has_its_fate_and_its_reason(self, view: RunView) -> None:
        fates = {p.title: (p.state, p.crashed, p.why) for p in view.proposals}
        assert fates == {
            "drop it": ("discarded", True, "tests: the suite could not be collected"),
            "use *": ("discarded", False, "tests: test_add still fails"),
            "use +": ("kept", False, "3 of 3 tests pass, none broke"),
        }

    def test_baseline_and_last_observation_are_told_apart(self, view: RunView) -> None:
        assert [o.summary for o in view.baseline] == ["1 of 3 tests fail"]
        assert [o.summary for o in view.observed] == ["3 of 3 tests pass"]

    def test_spend_adds_up_every_outcome_and_counts_iterations_by_plans(self, view: RunView) -> None:
        assert view.spend == val.Spend(
            usd_micros=12_345, tokens=3_210, wall_ms=900 + 1 + 2_000 + 3 * 1_500 + 20 + 900 + 2, iterations=1
        )


class TestStatus:
    def started(self) -> Stream:
        stream = Stream()
        stream.start()
        stream.driver()
        return stream

    def test_without_a_driver_an_unfinished_run_is_interrupted(self) -> None:
        stream = self.started()
        stream.intend(val.Observe(BASE_TREE))
        assert view_of(stream, driven=True).status == "running"
        assert view_of(stream, driven=False).status == "interrupted"

    def test_what_is_in_flight_is_said_in_words(self) -> None:
        stream = self.started()
        one, two = stream.proposal("one"), stream.proposal("two", content="x = 2\n")
        stream.plan(1)
        stream.propose(one, two)
        stream.intend(val.Evaluate(BASE_TREE, one.id))
        stream.intend(val.Evaluate(BASE_TREE, two.id))
        view = view_of(stream)
        assert view.activity == "evaluating 2 proposals"
        assert [f.subject for f in view.in_flight] == ["one", "two"]
        assert view_of(stream, driven=False).activity == "nothing runs"

    def test_an_intent_of_a_dead_driver_is_orphaned(self) -> None:
        stream = self.started()
        stream.intend(val.Observe(BASE_TREE))
        assert [f.orphaned for f in view_of(stream).in_flight] == [False]
        assert [f.orphaned for f in view_of(stream, driven=False).in_flight] == [True]
        stream.driver()
        assert [f.orphaned for f in view_of(stream).in_flight] == [True]

    def test_a_paused_run_is_paused_until_it_is_resumed(self) -> None:
        stream = self.started()
        stream.add(ev.RunPaused("ann said so"))
        assert view_of(stream, driven=False).status == "paused"
        stream.add(ev.RunResumed("ann"))
        assert view_of(stream, driven=False).status == "interrupted"

    def test_a_question_makes_the_run_wait_until_it_is_answered(self) -> None:
        stream = self.started()
        stream.add(ev.Asked("q1", "really?", "impossible"))
        stream.add(ev.RunPaused("an approval"))
        waiting = view_of(stream, driven=False)
        assert (waiting.status, [a.ask_id for a in waiting.asks]) == ("waiting", ["q1"])
        stream.add(ev.Answered("q1", "deny", "ann", "no"))
        assert view_of(stream, driven=False).status == "paused"


class TestTime:
    def test_the_gap_after_a_dead_driver_does_not_count(self) -> None:
        stream = Stream(step_ms=1_000)
        stream.start()
        stream.driver()
        stream.intend(val.Observe(BASE_TREE))
        stream.driver(after_ms=3_600_000)
        stream.observe()
        assert view_of(stream).active_ms == 1_000 + 2_000

    def test_what_people_write_to_a_dead_run_does_not_make_the_gap_count(self) -> None:
        stream = Stream(step_ms=1_000)
        stream.start()
        stream.driver()
        stream.intend(val.Observe(BASE_TREE))
        stream.add(ev.LimitsChanged("ann", val.Budget(iterations=9)), after_ms=3_600_000)
        stream.add(ev.RunResumed("ann"), after_ms=5_000)
        stream.driver()
        stream.intend(val.Observe(BASE_TREE))
        assert view_of(stream).active_ms == 1_000 + 1_000

    def test_a_pause_does_not_count(self) -> None:
        stream = Stream(step_ms=1_000)
        stream.start()
        stream.driver()
        stream.add(ev.RunPaused("night"))
        stream.add(ev.RunResumed("ann"), after_ms=3_600_000)
        stream.intend(val.Observe(BASE_TREE))
        view = view_of(stream)
        assert view.active_ms == 1_000 + 1_000
        assert view.started_at_ms == START_MS + 1_000


class TestFork:
    def test_what_the_parent_spent_is_inherited_and_not_summed(self) -> None:
        stream = Stream().fixed()
        parent = view_of(stream, driven=False)
        stream.run_id = "run-2"
        stream.add(ev.RunForked("run-1", len(stream.events), stream.events[-1].digest, "loopwright/fix/run-2"))
        stream.driver()
        stream.plan(2)
        view = view_of(stream)
        assert view.inherited == parent.spend
        assert view.spend == val.Spend(wall_ms=1, iterations=1)
        assert (view.forked_from, view.branch, view.status) == ("run-1", "loopwright/fix/run-2", "running")
        assert [k.title for k in view.kept] == ["use +"]

    def test_a_fork_of_a_fork_inherits_from_both(self) -> None:
        stream = Stream()
        stream.start()
        stream.driver()
        stream.plan(1)
        stream.add(ev.RunForked("run-1", 3, "", "b"))
        stream.plan(2)
        stream.add(ev.RunForked("run-2", 6, "", "c"))
        view = view_of(stream)
        assert view.inherited == val.Spend(wall_ms=2, iterations=2)
        assert view.spend == val.Spend()


@dataclass(frozen=True)
class Offer:
    stream: Stream
    proposal: val.Proposal


class TestProposals:
    def offer(self) -> Offer:
        stream = Stream()
        stream.start()
        stream.driver()
        stream.observe()
        stream.plan(1)
        proposal = stream.proposal("one")
        stream.propose(proposal)
        return Offer(stream, proposal)

    def test_a_retry_judges_again_and_the_last_verdict_holds(self) -> None:
        offer = self.offer()
        offer.stream.judge(offer.proposal, "inconclusive", summary="flaky")
        offer.stream.decide(val.Retry((offer.proposal.id,)), "a test is flaky")
        assert view_of(offer.stream).proposals[0].state == "judging"
        offer.stream.judge(offer.proposal, "pass")
        (seen,) = view_of(offer.stream).proposals
        assert (seen.state, seen.judgements, seen.passed) == ("judged", 2, True)

    def test_an_edit_that_was_offered_before_is_discarded_unjudged(self) -> None:
        offer = self.offer()
        offer.stream.decide(val.Revert(), "nothing passed")
        offer.stream.plan(2)
        again = offer.stream.proposal("one again")
        offer.stream.propose(again)
        seen = view_of(offer.stream).proposals[1]
        assert (seen.state, seen.judgements) == ("discarded", 0)
        assert "offered before" in seen.why

    def test_a_failed_judgement_is_a_failure_of_its_iteration_that_names_the_proposal(self) -> None:
        offer = self.offer()
        offer.stream.fail(val.Evaluate(BASE_TREE, offer.proposal.id), "timeout", "no answer in 600 s")
        view = view_of(offer.stream)
        (failure,) = view.failures
        assert (failure.beat, failure.subject, failure.status) == ("evaluate", "one", "timeout")
        assert "600 s" in view.proposals[0].why

    def test_the_score_is_the_last_that_a_verifier_gave(self) -> None:
        offer = self.offer()
        verdicts = (
            val.Verdict("guard", "pass", "ok", 3.0),
            val.Verdict("metric", "pass", "0.9", 0.9),
            val.Verdict("review", "pass", "fine"),
        )
        action_id = offer.stream.intend(val.Evaluate(BASE_TREE, offer.proposal.id))
        offer.stream.add(ev.Judged(action_id, offer.proposal.id, verdicts, val.Spend()))
        assert view_of(offer.stream).proposals[0].score == 0.9

    def test_what_was_chosen_and_then_not_kept_says_both(self) -> None:
        offer = self.offer()
        offer.stream.judge(offer.proposal, "pass")
        offer.stream.decide(val.Keep(offer.proposal.id), "it passes")
        offer.stream.fail(val.KeepProposal(offer.proposal.id, 1, oid("x"), 1), "error", "the branch moved")
        offer.stream.decide(val.Stop("failed"), "the branch moved")
        (seen,) = view_of(offer.stream).proposals
        assert (seen.state, seen.why) == ("discarded", "it was to be kept, and then: the branch moved")
