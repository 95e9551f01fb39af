"""Scripted worlds: a pure driver that answers every intent with an outcome that a test or Hypothesis chooses."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from loopwright.kernel import events as ev
from loopwright.kernel.loop import CommandRung, EvaluatePolicy, Loop, Permit, StopRules, TestsSource
from loopwright.kernel.pending import advance
from loopwright.kernel.state import State
from loopwright.kernel.values import (
    BlobRef,
    Budget,
    Change,
    Deliver,
    Evaluate,
    KeepProposal,
    MakePlan,
    Measure,
    Observation,
    Observe,
    Plan,
    Proposal,
    Propose,
    Spend,
    Verdict,
)

TEXT = BlobRef("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", 0, inline="")


def loop(
    *,
    rungs: int = 1,
    budget: Budget | None = None,
    stop: StopRules | None = None,
    reserve: Spend | None = None,
    batch: int | None = None,
) -> Loop:
    source = TestsSource("python -m pytest -q")
    return Loop(
        name="fix",
        goal="Make the tests pass.",
        when=(),
        observe=(source,),
        act=tuple(CommandRung(f"propose-{n}", reserve or Spend()) for n in range(rungs)),
        evaluate=EvaluatePolicy(tests=source),
        stop=stop or StopRules(),
        budget=budget or Budget(iterations=20),
        permit=Permit(),
        deliver="branch",
        batch=batch,
    )


def started(of: Loop, *, jobs: int = 1) -> ev.RunStarted:
    return ev.RunStarted(of, "0" * 64, "a" * 40, "b" * 40, "loopwright/fix/r", jobs, "hand", None, (), 0, "0.1.0")


@dataclass
class World:
    """Answers actions. `green_after`: the observation is green once that many keeps happened."""

    rng: random.Random
    green_after: int = 1
    keep_rate: float = 0.4
    fail_rate: float = 0.0
    unknown_rate: float = 0.0
    spend: Callable[[random.Random], Spend] = field(default=lambda rng: Spend())
    exhaust_rate: float = 0.0
    repeat_rate: float = 0.0

    def answer(self, state: State, action_id: str) -> ev.Body:
        work = state.work_of(action_id).action.work
        reserve = state.work_of(action_id).reserve
        spend = self.spend(self.rng)
        roll = self.rng.random()
        if roll < self.fail_rate:
            return ev.ActionFailed(action_id, "error", "it broke", f"broke {self.rng.randrange(3)}", spend)
        if roll < self.fail_rate + self.unknown_rate:
            return ev.ActionFailed(action_id, "unknown", "the driver died", "unknown", reserve)
        match work:
            case Observe():
                green = state.kept >= self.green_after
                seen = Observation("o", "tests", state.last_at_ms, TEXT, "untrusted", "seen", green)
                return ev.Observed(action_id, (seen,), green, spend)
            case MakePlan(rung=rung):
                return ev.Planned(action_id, state.iteration + 1, rung, Plan(("try",), "because"), spend)
            case Propose(batch=batch):
                number = self.rng.randint(0, batch)
                unique = "same" if self.rng.random() < self.repeat_rate else f"{state.intents}"
                proposals = tuple(
                    Proposal(
                        f"p{state.intents}.{n}",
                        "command",
                        f"edit {n}",
                        "why",
                        (Change(f"f{n}.py", "100644", TEXT),),
                        f"{unique}.{n}",
                    )
                    for n in range(number)
                )
                exhausted = self.rng.random() < self.exhaust_rate
                return ev.Proposed(action_id, proposals, exhausted, None, None, f"{number} edits", spend)
            case Evaluate(proposal_id=proposal_id):
                good = self.rng.random() < self.keep_rate
                status = "pass" if good else self.rng.choice(["fail", "crash", "inconclusive"])
                verdict = Verdict("tests", status, status, float(self.rng.randrange(5)))  # type: ignore[arg-type]
                return ev.Judged(action_id, proposal_id, (verdict,), spend)
            case Measure():
                raise AssertionError("a loop of these worlds has no metric")
            case KeepProposal(proposal_id=proposal_id, iteration=iteration):
                commit = f"{state.kept:040x}"
                return ev.Kept(action_id, proposal_id, iteration, commit, commit, spend)
            case Deliver(how=how):
                return ev.Delivered(action_id, how, ("a branch",), spend)


def play(
    of: Loop,
    world: World,
    *,
    jobs: int = 1,
    step_ms: int = 1000,
    most_steps: int = 2000,
    meddle: Callable[[State, random.Random], Sequence[ev.Body]] = lambda state, rng: (),
) -> tuple[State, list[ev.Event]]:
    """Drive a run in a scripted world to its end (or until it waits). Every batch of bodies becomes events, as a journal's would."""
    at_ms = 1_000_000
    state, bodies = advance(None, [started(of, jobs=jobs)], at_ms)
    events = _events((), bodies, at_ms)
    for _ in range(most_steps):
        if not state.inflight:
            break
        at_ms += world.rng.randint(1, step_ms)
        flying = world.rng.choice(state.inflight)
        fresh: list[ev.Body] = [world.answer(state, flying.action.id), *meddle(state, world.rng)]
        state, bodies = advance(state, fresh, at_ms)
        events += _events(events, bodies, at_ms)
    return state, events


def _events(before: Sequence[ev.Event], bodies: Sequence[ev.Body], at_ms: int) -> list[ev.Event]:
    return [ev.Event("r", len(before) + n, at_ms, "", body, "") for n, body in enumerate(bodies, 1)]
