"""A keep that its own fresh runs contradict is said, and which proposal was kept is known."""

import random

import pytest

from loopwright.kernel import ratchet as rt
from loopwright.kernel.ratchet.record import Passed, Slip
from loopwright.kernel.sample import Sample
from loopwright.kernel.values import Measure
from support.ratchets import Course, metric, ok, proposal


def course(worth: dict[str, float], goal: str = "max", **more: object) -> Course:
    """Candidates look 5 better than their head; kept trees are worth what `worth` says, with a noise of 0.5."""
    draw = random.Random(7)
    sign = 1 if goal == "max" else -1

    def answer(work: Measure) -> Sample:
        value = worth[work.tree] + (5.0 if work.proposal_id else 0.0)
        return ok(sign * value + draw.gauss(0, 0.5))

    run = Course(metric(goal, pairs=24, **more), answer)
    run.know_head()
    return run


@pytest.mark.parametrize("goal", ["max", "min"])
def test_a_head_that_is_clearly_worse_than_the_one_before_is_said_with_the_numbers(goal: str) -> None:
    run = course({"base": 10.0, "tree-luck": 7.0}, goal)
    assert rt.contradicted(run.ratchet, run.metric) is None
    assert run.attempt(proposal("luck")).status == "pass"
    said = rt.contradicted(run.ratchet, run.metric)
    assert said is not None and "\n" not in said
    assert "the keep of luck is contradicted" in said and "(4 runs)" in said
    assert "worse by 3." in said or "worse by 2." in said


@pytest.mark.parametrize("worth", [15.0, 10.0, 9.9])
def test_a_head_that_is_better_or_equal_within_the_noise_is_not_called_worse(worth: float) -> None:
    run = course({"base": 10.0, "tree-good": worth})
    assert run.attempt(proposal("good")).status == "pass"
    assert rt.contradicted(run.ratchet, run.metric) is None


def test_half_of_the_fresh_runs_say_nothing_yet() -> None:
    run = course({"base": 10.0, "tree-luck": 7.0})
    run.attempt(proposal("luck"))
    whole = [fact for fact in run.facts if fact[0] == "measured"]
    assert rt.contradicted(run.ratchet, run.metric) is not None
    early = course({"base": 10.0, "tree-luck": 7.0})
    while (side := rt.wanted_of_trial(early.ratchet, early.metric, proposal("luck"))) is not None:
        early.measure(Measure("base", "luck" if side == "candidate" else None, "trial"))
    early.ratchet = rt.settled(early.ratchet, early.metric, rt.weigh(early.ratchet, early.metric, proposal("luck")))
    early.ratchet = rt.moved(early.ratchet, early.metric, "luck")
    early.measure(Measure("tree-luck", None, "confirm"))
    assert len(whole) > early.runs and rt.contradicted(early.ratchet, early.metric) is None


def test_a_contradiction_stays_on_record_when_later_keeps_are_good() -> None:
    run = course({"base": 10.0, "tree-luck": 7.0, "tree-good": 12.0, "tree-more": 17.0})
    for name in ("luck", "good", "more"):
        assert run.attempt(proposal(name)).status == "pass"
    said = rt.contradicted(run.ratchet, run.metric)
    assert said is not None and "the keep of luck" in said and "(2 more keeps since)" in said


def test_a_simplification_may_lose_what_it_was_allowed_to_lose() -> None:
    """Equal within min_effect: a loss of less is what was agreed to."""
    for loss, contradicts in ((0.6, False), (4.0, True)):
        worth = {"base": 10.0, "tree-short": 10.0 - loss}
        draw = random.Random(5)

        def answer(work: Measure, worth: dict[str, float] = worth, draw: random.Random = draw) -> Sample:
            return ok(worth[work.tree] + draw.gauss(0, 0.3))

        run = Course(metric(pairs=24, min_effect=1.0), answer)
        run.know_head()
        assert run.attempt(proposal("short", simpler=True)).status == "pass"
        said = rt.contradicted(run.ratchet, run.metric)
        assert (said is not None) is contradicts
        assert said is None or "a simplification may lose 1" in said


def test_without_noise_the_first_run_after_a_keep_that_repeats_is_no_contradiction() -> None:
    values = {"base": 10.0, "tree-good": 15.0}
    run = Course(metric(), lambda work: ok(values[work.tree] + (5.0 if work.proposal_id else 0.0)))
    run.know_head()
    assert run.attempt(proposal("good")).status == "pass"
    assert rt.contradicted(run.ratchet, run.metric) is None


def test_of_several_that_passed_the_one_that_was_kept_counts() -> None:
    """Two were found good, a person approved one: what is expected of the head is what that one measured."""
    gain, short = Passed(12.0, None, "gain"), Passed(10.0, Slip(-0.2, 0.1), "short")
    both = rt.Ratchet(noisy=True, slip=Slip(-0.5, 0.3), passed=(gain, short))
    asked = metric()
    kept = rt.moved(both, asked, "gain")
    assert kept.expected == (12.0,) and kept.slip == Slip() and kept.previous is not None
    assert kept.previous.proposal_id == "gain" and not kept.previous.simpler
    other = rt.moved(both, asked, "short")
    assert other.expected == (10.0,) and other.slip == Slip(-0.2, 0.1)
    assert other.previous is not None and other.previous.simpler
    for unknown in (None, "never-seen"):
        assert rt.moved(both, asked, unknown).expected == (12.0, 10.0)
        assert rt.moved(both, asked, unknown).slip == Slip(-0.2, 0.1)
