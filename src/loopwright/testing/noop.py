"""A loop that does nothing, through the real driver: what the engine itself costs, and a run whose every step is known."""

import asyncio
import hashlib

from loopwright import __version__
from loopwright.engine.drive import Driver
from loopwright.journal.protocol import Journal
from loopwright.kernel import events as ev
from loopwright.kernel.loop import CommandRung, EvaluatePolicy, Loop, Permit, StopRules, TestsSource
from loopwright.kernel.state import State
from loopwright.kernel.values import (
    Action,
    BlobRef,
    Budget,
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
from loopwright.testing.clock import FakeClock

__all__ = ["NoopPerformer", "drive_noop", "noop_loop", "noop_start"]

_EMPTY = BlobRef(hashlib.sha256(b"").hexdigest(), 0, inline="")


def noop_loop(iterations: int) -> Loop:
    source = TestsSource("true")
    return Loop(
        name="noop",
        goal="Do nothing, a known number of times.",
        when=(),
        observe=(source,),
        act=(CommandRung("true"),),
        evaluate=EvaluatePolicy(tests=source),
        stop=StopRules(plateau=None),
        budget=Budget(iterations=iterations),
        permit=Permit(),
        deliver="file",
    )


def noop_start(iterations: int) -> ev.RunStarted:
    return ev.RunStarted(
        loop=noop_loop(iterations),
        loop_digest="0" * 64,
        base_commit="0" * 40,
        base_tree="0" * 40,
        branch="loopwright/noop/run",
        jobs=1,
        trigger="hand",
        ticket=None,
        notes=(),
        seed=0,
        version=__version__,
    )


class NoopPerformer:
    """Every observation is red, every proposal new and refused: only the iteration limit ends the run."""

    sandbox_description = "nothing is run"

    async def perform(self, state: State, action: Action) -> ev.Body:
        spend = Spend()
        match action.work:
            case Observe():
                seen = Observation(
                    f"o{state.intents}", "tests", state.last_at_ms, _EMPTY, "untrusted", "nothing", False
                )
                return ev.Observed(action.id, (seen,), False, spend)
            case MakePlan(rung=rung):
                return ev.Planned(
                    action.id, state.iteration + 1, rung, Plan(("do nothing",), "there is nothing to do"), spend
                )
            case Propose():
                digest = hashlib.sha256(str(state.iteration).encode()).hexdigest()
                proposal = Proposal(f"p{state.iteration}", "command", "nothing", "no reason", (), digest)
                return ev.Proposed(action.id, (proposal,), False, None, None, "one empty proposal", spend)
            case Evaluate(proposal_id=proposal_id):
                return ev.Judged(action.id, proposal_id, (Verdict("noop", "fail", "nothing changed"),), spend)
            case Measure():
                raise AssertionError("a noop loop has no metric")
            case KeepProposal():
                raise AssertionError("a noop proposal is never kept")
            case Deliver(how=how):
                return ev.Delivered(action.id, how, (), spend)

    async def close(self) -> None:
        return None

    async def settle_calls(self, state: State) -> list[ev.Body]:
        return []

    async def reconcile(self, state: State, action: Action) -> list[ev.Body]:
        return [
            ev.ActionFailed(
                action.id, "unknown", "the driver ended before the outcome was recorded", "unknown", Spend()
            )
        ]


def drive_noop(journal: Journal, run_id: str, iterations: int) -> State:
    """Start a noop run in `journal` and drive it to its end: `iterations` times plan → propose → evaluate → revert."""
    clock = FakeClock(step_ms=1)
    journal.append(run_id, [noop_start(iterations)], expect_seq=0, at_ms=clock())
    return asyncio.run(Driver(journal, run_id, NoopPerformer(), driver_id="noop", now_ms=clock).drive())
