"""Each stop rule ends a whole run: through the real driver and a journal, with scripted beats, for exactly its own reason."""

from collections.abc import Callable

import msgspec
import pytest

from loopwright.kernel import events as ev
from loopwright.kernel.loop import Metric, StopRules
from loopwright.kernel.state import State
from loopwright.kernel.values import (
    Action,
    Budget,
    Deliver,
    Evaluate,
    MakePlan,
    Measure,
    Observe,
    Propose,
    Spend,
    StopReason,
    Verdict,
)
from loopwright.policy.values import Rule
from loopwright.testing.clock import FakeClock
from support.gates import SEND, FakeTool, desk
from support.scripted import Script

METRIC = Metric("measure", "score", "max")
NO_PLATEAU = StopRules(plateau=None)


def ended(state: State, reason: StopReason, exit_code: int, *, iterations: int | None = None) -> str:
    assert state.finished is not None
    assert (state.finished.reason, state.finished.exit_code) == (reason, exit_code), state.finished.summary
    assert iterations is None or state.iteration == iterations
    return state.finished.summary


def test_the_goal_ends_a_run_as_success_on_the_last_iteration_too() -> None:
    ended(Script(keeps=lambda state: True, green_after=3).run(budget=Budget(iterations=3)), "goal", 0, iterations=3)
    ended(Script(green_after=0).run(), "nothing_to_do", 0, iterations=0)


def test_an_impossible_goal_ends_a_run_only_after_a_person_agreed() -> None:
    script = Script(impossible="the two tests contradict each other")
    waiting = script.run()
    assert waiting.finished is None
    assert [ask.about for ask in waiting.asks] == ["impossible"]
    script.add(ev.Answered("q1", "approve", "ann", "so it is"))
    assert "contradict" in ended(script.resume(), "impossible", 1)


def test_the_caps_end_a_run() -> None:
    ended(Script().run(budget=Budget(iterations=4)), "iterations", 4, iterations=4)
    slow = Script(clock=FakeClock(step_ms=10_000))
    ended(slow.run(budget=Budget(wall_ms=300_000)), "minutes", 4)
    priced = Budget(usd_micros=500, iterations=300)
    ended(Script(cost=Spend(usd_micros=100)).run(budget=priced), "usd", 4, iterations=5)
    ended(Script(cost=Spend(tokens=9)).run(budget=Budget(tokens=30, iterations=300)), "tokens", 4, iterations=4)


def test_a_plateau_ends_a_run_by_the_loops_number_and_by_itself() -> None:
    ended(Script().run(StopRules(plateau=7)), "plateau", 5, iterations=7)
    ended(Script().run(), "plateau", 5, iterations=38)
    # eight keeps in eight iterations: the drought after them need not be long
    early = Script(keeps=lambda state: state.iteration <= 8)
    assert "8 in 8 iterations" in ended(early.run(), "plateau", 5, iterations=18)


def rising(gain: Callable[[int], float]) -> Callable[[State, Measure], float]:
    """A metric without noise: the head's value, and the candidate's gain in this iteration."""

    def value(state: State, work: Measure) -> float:
        head = sum(gain(n) for n in range(1, state.kept + 1))
        return head + (gain(state.kept + 1) if work.proposal_id is not None else 0.0)

    return value


def test_iterations_that_cost_more_than_they_bring_end_a_run_whose_gains_have_a_worth() -> None:
    rules = StopRules(plateau=None, worth_usd_micros=1000.0)
    idle = Script(cost=Spend(usd_micros=100))
    assert "worth less than it costs" in ended(idle.run(rules, metric=METRIC), "diminishing", 5, iterations=44)
    paying = Script(cost=Spend(usd_micros=100), value=rising(lambda n: 1.0))
    ended(paying.run(rules, metric=METRIC, budget=Budget(iterations=60)), "iterations", 4, iterations=60)
    poor = Script(cost=Spend(usd_micros=100), value=rising(lambda n: 0.01))
    ended(poor.run(rules, metric=METRIC, budget=Budget(iterations=60)), "diminishing", 5)


def test_gains_that_fade_end_a_run_without_any_worth_although_each_is_kept() -> None:
    state = Script(value=rising(lambda n: 0.8**n)).run(metric=METRIC)
    assert "less than 10%" in ended(state, "diminishing", 5)
    assert state.kept == state.iteration > 30


def test_a_cycle_ends_a_run_whether_the_edits_repeat_at_once_or_in_turns() -> None:
    assert "the iteration was the same" in ended(Script(offers=lambda state: "a").run(), "cycle", 5, iterations=3)
    back = ["a", "b", "c", "b", "a", "c"]
    again = Script(offers=lambda state: back[state.iteration - 1])
    assert "judged before" in ended(again.run(), "cycle", 5, iterations=6)


def test_the_same_error_and_too_many_of_any_kind_end_a_run() -> None:
    def at(kind: type, words: Callable[[State], str]) -> Callable[[State, Action], str | None]:
        return lambda state, action: words(state) if isinstance(action.work, kind) else None

    assert "it broke" in ended(Script(fails=at(Propose, lambda state: "it broke")).run(), "repeated_error", 5)

    def often(state: State, action: Action) -> str | None:
        if isinstance(action.work, Evaluate) or (isinstance(action.work, Propose) and state.failures_in_a_row < 2):
            return f"broke in way {state.intents}"
        return None

    ended(Script(fails=often).run(), "error_rate", 1)


def test_a_holdout_that_falls_while_the_metric_rises_ends_a_run() -> None:
    def value(state: State, work: Measure) -> float:
        if work.purpose == "holdout":
            return 10.0 - state.kept
        return rising(lambda n: 1.0)(state, work)

    metric = msgspec.structs.replace(METRIC, holdout="measure --held-out")
    state = Script(value=value).run(metric=metric)
    assert "holdout fell in 2 keeps" in ended(state, "drift", 5)
    assert state.kept == 2


def test_noise_that_swamps_the_smallest_effect_ends_a_run_before_anything_is_tried() -> None:
    wild = Script(value=lambda state, work: 10.0 * (-1) ** state.intents)
    metric = msgspec.structs.replace(METRIC, min_effect=1.0)
    assert "pairs" in ended(wild.run(metric=metric), "noise", 5, iterations=0)
    assert not any(isinstance(action.work, Propose) for action in wild.did)


def test_a_metric_that_never_comes_is_a_faulty_input() -> None:
    silent = Script(value=lambda state, work: None)
    assert "METRIC score=" in ended(silent.run(metric=METRIC), "cannot_observe", 2, iterations=0)


@pytest.mark.parametrize(("answer", "reason"), [("deny", "disagreement"), ("approve", "iterations")])
def test_judges_that_contradict_each_other_twice_bring_a_person_who_decides(answer: str, reason: StopReason) -> None:
    said = (Verdict("review: one", "pass", "fine"), Verdict("review: two", "fail", "wrong"))
    script = Script(keeps=lambda state: True, reviews=said)
    waiting = script.run(budget=Budget(iterations=3), judges=2)
    assert waiting.finished is None
    assert waiting.iteration == 2
    assert [ask.about for ask in waiting.asks] == ["disagreement"]
    script.add(ev.Answered("q1", answer, "ann", "judge two is mistaken"))  # type: ignore[arg-type]
    ended(script.resume(), reason, 1 if reason == "disagreement" else 4)


def test_a_second_call_that_the_policy_refuses_ends_a_run_and_one_does_not() -> None:
    class Calling(Script):
        async def perform(self, state: State, action: Action) -> ev.Body:
            if isinstance(action.work, Propose) and state.iteration <= calls:
                rules = (Rule("deny", "mail.send"),)
                at = desk(self.journal, FakeTool(SEND), run_id="r", rules=rules, clock=self.clock)
                result = await at.gate.call("agent", "mail.send", {"to": "bob@example.org"})
                assert result.status == "denied"
            return await super().perform(state, action)

    calls = 1
    ended(Calling().run(budget=Budget(iterations=3)), "iterations", 4, iterations=3)
    calls = 9
    ended(Calling().run(), "refused", 6, iterations=2)


@pytest.mark.parametrize("meanwhile", [Observe, MakePlan, Propose, Evaluate])
def test_what_a_person_asks_for_is_looked_at_before_the_next_act(meanwhile: type) -> None:
    def stop(state: State, action: Action) -> None:
        if isinstance(action.work, meanwhile) and not any(isinstance(done.work, meanwhile) for done in script.did[:-1]):
            script.add(ev.StopRequested("ann", "enough"))

    script = Script(before=stop)
    assert ended(script.run(), "stopped", 130) == "enough"
    acted = [action.work for action in script.did if not isinstance(action.work, Deliver)]
    assert isinstance(acted[-1], meanwhile)
