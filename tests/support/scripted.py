"""A run whose beats are scripted: through the real driver and a journal, with answers instead of processes."""

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from loopwright.engine.drive import Driver
from loopwright.kernel import events as ev
from loopwright.kernel.fold import fold
from loopwright.kernel.loop import CommandRung, EvaluatePolicy, Metric, Review, Rung, StopRules
from loopwright.kernel.sample import Sample
from loopwright.kernel.state import State
from loopwright.kernel.values import (
    Action,
    Budget,
    Evaluate,
    KeepProposal,
    Measure,
    Observe,
    Proposal,
    Propose,
    Spend,
    Verdict,
)
from loopwright.testing.clock import FakeClock
from loopwright.testing.memory import MemoryJournal
from loopwright.testing.noop import NoopPerformer, noop_start

__all__ = ["Script", "edit"]


def edit(name: object) -> Proposal:
    return Proposal(f"p-{name}", "command", f"edit {name}", "why", (), hashlib.sha256(str(name).encode()).hexdigest())


@dataclass
class Script(NoopPerformer):
    """What the beats answer; by default every observation is red, every proposal new and refused, and nothing costs anything."""

    journal: MemoryJournal = field(default_factory=MemoryJournal)
    clock: FakeClock = field(default_factory=lambda: FakeClock(step_ms=1))
    offers: Callable[[State], object] = lambda state: state.iteration
    """The name of the edit: two of one name are the same edit."""
    keeps: Callable[[State], bool] = lambda state: False
    value: Callable[[State, Measure], float | None] = lambda state, work: 0.0
    fails: Callable[[State, Action], str | None] = lambda state, action: None
    reviews: tuple[Verdict, ...] = ()
    cost: Spend = Spend()
    green_after: int = 99
    impossible: str | None = None
    says_done: Callable[[State], bool] = lambda state: False
    checks: Callable[[State], Verdict | None] = lambda state: None
    """What the checks say instead of `keeps`."""
    before: Callable[[State, Action], None] = lambda state, action: None
    did: list[Action] = field(default_factory=list)
    seen: list[State] = field(default_factory=list)
    """The state at each proposing."""
    green_from_look: int = 0
    """The observation with this number, and those after it, are green; 0 = `green_after` decides."""
    looks: int = 0

    async def perform(self, state: State, action: Action) -> ev.Body:
        self.did.append(action)
        self.before(state, action)
        if (why := self.fails(state, action)) is not None:
            return ev.ActionFailed(action.id, "error", why, why, Spend())
        match action.work:
            case Observe():
                body = await super().perform(state, action)
                assert isinstance(body, ev.Observed)
                self.looks += 1
                green = 0 < self.green_from_look <= self.looks or state.kept >= self.green_after
                return msgspec.structs.replace(body, goal_met=green)
            case Propose():
                self.seen.append(state)
                offer = edit(self.offers(state))
                # one id a proposal, one digest an edit
                offer = msgspec.structs.replace(offer, id=f"p{state.iteration}")
                done = self.says_done(state)
                offers = () if self.impossible or done else (offer,)
                return ev.Proposed(action.id, offers, False, None, None, "said", self.cost, self.impossible, done)
            case Evaluate(proposal_id=proposal_id, stage="review"):
                return ev.Judged(action.id, proposal_id, self.reviews, Spend())
            case Evaluate(proposal_id=proposal_id):
                # a metric loop's check lets everything pass: what is kept is the metric's to say
                good = state.loop.evaluate.metric is not None or self.keeps(state)
                verdict = self.checks(state) or Verdict("tests", "pass" if good else "fail", "judged", 1.0)
                return ev.Judged(action.id, proposal_id, (verdict,), Spend())
            case Measure():
                value = self.value(state, action.work)
                sample = Sample("missing", message="no line") if value is None else Sample("ok", value)
                return ev.Measured(action.id, sample, Spend())
            case KeepProposal(proposal_id=proposal_id, iteration=iteration):
                commit = f"{iteration:040x}"
                return ev.Kept(action.id, proposal_id, iteration, commit, commit, Spend())
        return await super().perform(state, action)

    def begin(
        self,
        stop: StopRules | None = None,
        *,
        budget: Budget | None = None,
        metric: Metric | None = None,
        judges: int = 0,
        act: tuple[Rung, ...] = (CommandRung("propose"),),
    ) -> None:
        """The first event of a run; nothing is done yet."""
        start = noop_start(1)
        loop = msgspec.structs.replace(
            start.loop,
            act=act,
            stop=stop or StopRules(),
            budget=budget or Budget(iterations=300),
            evaluate=EvaluatePolicy(
                tests=start.loop.evaluate.tests if metric is None else None,
                metric=metric,
                review=tuple(Review(run=f"judge-{n}") for n in range(judges)) or None,
            ),
        )
        self.journal.append("r", [msgspec.structs.replace(start, loop=loop)], expect_seq=0, at_ms=self.clock())

    def run(
        self,
        stop: StopRules | None = None,
        *,
        budget: Budget | None = None,
        metric: Metric | None = None,
        judges: int = 0,
        act: tuple[Rung, ...] = (CommandRung("propose"),),
    ) -> State:
        self.begin(stop, budget=budget, metric=metric, judges=judges, act=act)
        return self.resume()

    def resume(self) -> State:
        driver = Driver(self.journal, "r", self, driver_id="d", now_ms=self.clock, poll_s=0.001)
        state = asyncio.run(driver.drive())
        assert fold(self.journal.read("r")) == state
        return state

    def add(self, body: ev.Body) -> None:
        """What somebody else appends, beside the driver."""
        head = self.journal.head("r")
        assert head is not None
        self.journal.append("r", [body], expect_seq=head.seq, at_ms=self.clock())
