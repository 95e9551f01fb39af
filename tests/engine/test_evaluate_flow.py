"""How a proposal goes through its judges, in whole runs through the real driver: checks, measurements, judges, and people."""

import asyncio

import pytest

from loopwright.engine.drive import Driver
from loopwright.kernel import events as ev
from loopwright.kernel.loop import CommandRung, Metric, StopRules
from loopwright.kernel.state import State
from loopwright.kernel.values import Action, Budget, Check, Evaluate, Measure, Propose, Verdict
from support.scripted import Script

METRIC = Metric("measure", "score", "max")
SUSPICIOUS = Verdict("tamper", "ask", "drops an assertion in tests/test_a.py:3")


def works(script: Script, kind: type) -> list[object]:
    return [action.work for action in script.did if isinstance(action.work, kind)]


def bodies(script: Script) -> list[ev.Body]:
    return [event.body for event in script.journal.read("r")]


@pytest.mark.parametrize(("answer", "kept"), [("approve", 1), ("deny", 0)])
def test_a_suspicious_edit_waits_for_a_person_and_his_word_is_the_verdict(answer: str, kept: int) -> None:
    """Nothing else of it is decided by anybody; the question says what was found, and the log who answered."""
    script = Script(checks=lambda state: SUSPICIOUS)
    waiting = script.run(budget=Budget(iterations=1))
    assert waiting.finished is None
    (ask,) = waiting.asks
    assert "drops an assertion" in ask.question
    script.add(ev.Answered(ask.ask_id, answer, "ann", "looked at it"))  # type: ignore[arg-type]
    done = script.resume()
    assert done.kept == kept
    (why,) = [
        b.why
        for b in bodies(script)
        if isinstance(b, ev.Decided) and b.decision.__struct_config__.tag in ("keep", "revert")
    ]
    assert "ann: looked at it" in why
    assert len(works(script, Evaluate)) == 1


def test_an_advisory_objection_decides_nothing_and_is_told() -> None:
    noted = Verdict("review", "fail", "the judge finds it ugly", advisory=True)
    script = Script(keeps=lambda state: True, reviews=(noted,), green_after=1)
    done = script.run(judges=1)
    assert done.kept == 1
    assert any("review notes: the judge finds it ugly" in b.why for b in bodies(script) if isinstance(b, ev.Decided))


def test_a_gate_that_objects_reverts_what_passed_everything_else() -> None:
    script = Script(keeps=lambda state: True, reviews=(Verdict("review", "fail", "wrong"),))
    assert script.run(budget=Budget(iterations=2), judges=1).kept == 0


def test_judges_are_asked_only_of_what_passed_the_checks_and_the_metric() -> None:
    """They may cost money: three candidates, one that is measurably better, one review."""
    script = Script(
        value=lambda state, work: 0.0 if work.proposal_id is None else 1.0 if state.iteration == 2 else -1.0,
        reviews=(Verdict("review", "pass", "fine"),),
    )
    done = script.run(budget=Budget(iterations=2), metric=METRIC, judges=1)
    stages = [work.stage for work in works(script, Evaluate) if isinstance(work, Evaluate)]
    assert stages == ["check", "check", "review"]
    assert done.kept == 1


def test_a_claim_to_be_done_is_checked_and_the_answer_goes_back() -> None:
    """The word of a rung ends nothing: the verifiers look again, and what they saw is the next attempt's first lesson."""
    script = Script(says_done=lambda state: state.iteration == 1, keeps=lambda state: True, green_after=1)
    done = script.run()
    assert done.finished is not None and done.finished.reason == "goal"
    assert [b for b in bodies(script) if isinstance(b, ev.Decided) and isinstance(b.decision, Check)]
    lessons = [state for state in script.seen if state.iteration == 2]
    assert any("said that it is done; the check says" in lesson for lesson in lessons[0].lessons)


def test_a_claim_that_is_true_ends_the_run_as_success() -> None:
    """Somebody else made it green meanwhile: the check finds it so."""
    script = Script(says_done=lambda state: True, green_from_look=2)
    done = script.run()
    assert done.finished is not None
    assert done.finished.exit_code == 0


def test_a_rung_that_claims_it_again_and_again_is_passed_over() -> None:
    """Two refuted claims for one head: the next rung takes over, and without one the run says so."""
    script = Script(says_done=lambda state: state.rung == 0, keeps=lambda state: True, green_after=1)
    done = script.run(act=(CommandRung("boasts"), CommandRung("works")))
    assert done.finished is not None and done.finished.reason == "goal"
    assert [work.rung for work in works(script, Propose) if isinstance(work, Propose)] == [0, 0, 1]
    alone = Script(says_done=lambda state: True).run()
    assert alone.finished is not None
    assert alone.finished.reason == "exhausted"
    assert "says that it is done" in alone.finished.summary


def test_a_standstill_of_one_rung_hands_over_to_the_next() -> None:
    """A number that the author wrote ends the run whoever stands still."""
    script = Script()
    both = (CommandRung("one"), CommandRung("two"))
    done = script.run(act=both)
    assert done.finished is not None and done.finished.reason == "plateau"
    rungs = [work.rung for work in works(script, Propose) if isinstance(work, Propose)]
    assert (rungs.count(0), rungs.count(1)) == (38, 38)
    fixed = Script().run(StopRules(plateau=5), act=both)
    assert (fixed.iteration, fixed.rung) == (5, 0)


def test_a_killed_driver_measures_nothing_twice() -> None:
    """Every run of the command is in the journal: a second driver goes on with the next one, and comes to the same state."""

    class Killed(Exception):
        pass

    values = iter([5.0, 5.2, 4.9, 5.1, 5.0, 4.8, 5.3, 5.1, *([5.6, 5.0] * 200)])
    whole = Script(value=lambda state, work: next(values))
    reference = whole.run(budget=Budget(iterations=3), metric=METRIC)
    expected = [b.sample.value for b in bodies(whole) if isinstance(b, ev.Measured)]

    again = iter([5.0, 5.2, 4.9, 5.1, 5.0, 4.8, 5.3, 5.1, *([5.6, 5.0] * 200)])
    broken = Script(value=lambda state, work: next(again))
    kills = iter(range(1, 1000))

    async def until_killed() -> State:
        """A driver that dies after its outcome number 3, 6, 9, …: what was in flight then is unknown to the next one."""
        number = 0

        def watch(event: ev.Event) -> None:
            nonlocal number
            number += isinstance(event.body, ev.Measured)
            if number == 3:
                next(kills)
                raise Killed

        driver = Driver(broken.journal, "r", broken, driver_id="d", now_ms=broken.clock, watch=watch, poll_s=0.001)
        return await driver.drive()

    broken.begin(budget=Budget(iterations=3), metric=METRIC)
    for _ in range(200):
        try:
            state = asyncio.run(until_killed())
            break
        except Killed:
            continue
    else:
        raise AssertionError("the run never came to its end")
    assert next(kills) > 3, "it was hardly ever killed"
    assert [b.sample.value for b in bodies(broken) if isinstance(b, ev.Measured)] == expected
    assert (state.kept, state.ratchet) == (reference.kept, reference.ratchet)


def test_a_measurement_that_cannot_be_made_twice_is_a_crash_of_the_candidate() -> None:
    """The runtime could not run it, twice: that is no score, and the run goes on."""

    def fails(state: State, action: Action) -> str | None:
        measuring = isinstance(action.work, Measure) and action.work.proposal_id is not None
        return "the sandbox fell over" if measuring and state.iteration == 1 else None

    script = Script(fails=fails, value=lambda state, work: 0.0 if work.proposal_id is None else 1.0)
    done = script.run(budget=Budget(iterations=2), metric=METRIC)
    assert done.kept == 1
    crashed = [t for t in done.turns if not t.kept]
    assert len(crashed) == 1
    assert "the sandbox fell over" in crashed[0].why


def test_a_base_that_cannot_be_measured_at_all_is_a_faulty_input() -> None:
    script = Script(fails=lambda state, action: "no such program" if isinstance(action.work, Measure) else None)
    done = script.run(metric=METRIC)
    assert done.finished is not None
    assert (done.finished.reason, done.finished.exit_code) == ("cannot_observe", 2)
    assert len(works(script, Measure)) == 2
