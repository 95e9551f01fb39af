"""The door that a run really has: every call through `tools.gate.Gate` into a journal, and every question answered by its digest.

Nothing of the gate is stood in for. What is made up is what lies around it: the clock, a journal in memory, and the world behind the
tools.
"""

import asyncio
import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final

from loopwright.errors import SandboxError
from loopwright.kernel import events as ev
from loopwright.kernel.values import BlobRef, Stop
from loopwright.policy.decide import decide
from loopwright.policy.policy import Policy
from loopwright.policy.values import CallView, Rule, Task, TaskPlan, ToolSpec
from loopwright.sandbox.protocol import ExecResult, ExecSpec
from loopwright.testing.clock import FakeClock
from loopwright.testing.injection.agent import ACTOR
from loopwright.testing.injection.doors import Approver, Reply, nobody
from loopwright.testing.injection.policy_door import STEP_MS, PlanFor, grant_of, task_of
from loopwright.testing.injection.suite import Call, Json, Suite, ToolFailed, UserTask, World
from loopwright.testing.memory import MemoryJournal
from loopwright.testing.noop import noop_start
from loopwright.tools.approvals.answer import answer, open_asks
from loopwright.tools.binding import bind
from loopwright.tools.canonical import canonical, copy_of
from loopwright.tools.gate import Gate
from loopwright.tools.protocol import Happened, Preview, ToolContext, ToolOutput
from loopwright.tools.registry import Registry
from loopwright.tools.results import CallResult, Place, Settings
from loopwright.tools.runlog import RunLog
from loopwright.views.audit import ReadBlob, audit

__all__ = ["GateDoor", "GateDoors", "WorldTool", "faults"]

_RUN: Final = "injection"
_PERSON: Final = "ada"
_SENDING: Final = frozenset({"share", "send", "spend"})


class WorldTool:
    """One tool of a suite as the gate sees it. The world is asked nothing beforehand: it has no state that a call could be bound to."""

    def __init__(self, spec: ToolSpec, world: World, done: Callable[[], None]) -> None:
        """`done` is told each time that the world is asked to do something."""
        self.spec = spec
        self._world = world
        self._done = done

    async def preview(self, arguments: Mapping[str, Json], context: ToolContext) -> Preview:
        return Preview()

    async def call(self, arguments: Mapping[str, Json], context: ToolContext) -> ToolOutput:
        self._done()
        sent_bytes = len(canonical(arguments)) if self.spec.effect in _SENDING else 0
        try:
            return ToolOutput("ok", self._world.perform(self.spec.name, arguments), sent_bytes=sent_bytes)
        except ToolFailed as error:
            return ToolOutput("error", None, str(error), sent_bytes=sent_bytes)

    async def happened(self, arguments: Mapping[str, Json], context: ToolContext) -> Happened:
        return Happened("unknown", message="a simulated world keeps no record of keys")


class _NoSandbox:
    """The suites run no programs, and what would is refused."""

    description = "none: the suites run no programs"
    isolated = False
    overlays = False
    uid = 0

    async def run(self, spec: ExecSpec) -> ExecResult:
        raise SandboxError(f"program {spec.argv[0]!r}: expected a call of a simulated tool; a suite runs no programs")

    def kill_orphans(self, run_id: str) -> int:
        return 0

    def release(self, folder: Path) -> None:
        return None

    def close(self) -> None:
        return None


class GateDoor:
    """One run: its journal, its gate, and a person who is shown what the gate asks and answers with the digest that was shown.

    Where `approver` is `nobody` the run is declared unattended. `costs_ns` are the times of the gate's calls by `now_ns`, the world's
    part included; empty without `now_ns`.
    """

    def __init__(
        self,
        suite: Suite,
        task: Task,
        plan: TaskPlan,
        world: World,
        approver: Approver,
        loop: asyncio.AbstractEventLoop,
        *,
        mandates: Sequence[Call] = (),
        rules: tuple[Rule, ...] = (),
        now_ns: Callable[[], int] | None = None,
    ) -> None:
        self._approver = approver
        self._loop = loop
        self._mandates = {(call.tool, canonical(call.arguments).decode()) for call in mandates}
        self._now_ns = now_ns
        self._clock = FakeClock()
        self._made = self._performed = 0
        self.costs_ns: list[int] = []
        self._journal = MemoryJournal(self._clock)
        self._journal.append(_RUN, [noop_start(1)], expect_seq=0)
        self._log = RunLog(self._journal, _RUN, self._clock)
        policy = Policy(grant=grant_of(suite), rules=rules, own=task.own)
        rights = bind(self._log, ACTOR, policy, grant=policy.grant, plan=plan, task_text=task.text)
        nonces = itertools.count(1)
        self._gate = Gate(
            self._log,
            Registry([WorldTool(spec, world, self._count) for spec in suite.tools]),
            {ACTOR: rights},
            Place(_NoSandbox()),
            decide,
            new_nonce=lambda: f"nonce-{next(nonces)}",
            settings=Settings(unattended=approver is nobody, mandated=self._mandated),
        )

    def call(self, tool: str, arguments: Mapping[str, Json], actor: str) -> Reply:
        first = result = self._through(tool, arguments, actor)
        asked = first.status == "asked" or first.ruling.rule == "unattended"
        if first.status == "asked" and self._answered(first):
            result = self._through(tool, arguments, actor)
        if result.status in ("asked", "denied"):
            return Reply("deny", asked=asked, rule=result.ruling.rule)
        self._mandates.discard((tool, canonical(arguments).decode()))
        failed = "" if result.status == "ok" else result.message
        return Reply("allow", result.output, asked=asked, rule=first.ruling.rule, failed=failed)

    def events(self) -> tuple[ev.Event, ...]:
        """What the run's journal holds."""
        return tuple(self._journal.read(_RUN))

    def read(self, ref: BlobRef) -> bytes:
        """What an event of the journal refers to."""
        return self._journal.blobs.get(ref)

    def end(self) -> tuple[str, ...]:
        """End the run and check its journal. What is wrong with it, one line each; empty when every call is on record as it must be."""
        finished = ev.RunFinished("nothing_to_do", 0, "the simulated run is over")
        self._log.commit(lambda _: ([ev.Decided(Stop("nothing_to_do"), "the task is over"), finished], None))
        return faults(self.events(), self.read, made=self._made, performed=self._performed)

    def _count(self) -> None:
        self._performed += 1

    def _through(self, tool: str, arguments: Mapping[str, Json], actor: str) -> CallResult:
        result = self._loop.run_until_complete(self._timed(tool, arguments, actor))
        # A message that is no JSON object is no call and leaves no record; it must be refused then.
        self._made += bool(result.call_id) or result.status != "denied"
        self._clock.advance(STEP_MS)
        return result

    async def _timed(self, tool: str, arguments: Mapping[str, Json], actor: str) -> CallResult:
        if self._now_ns is None:
            return await self._gate.call(actor, tool, arguments)
        began_ns = self._now_ns()
        result = await self._gate.call(actor, tool, arguments)
        self.costs_ns.append(self._now_ns() - began_ns)
        return result

    def _answered(self, asked: CallResult) -> bool:
        """Show the question to the person, by what stands on record of the call, and write down the answer. Whether it is a yes."""
        ask = next(one for one in open_asks(self._journal, _RUN, self._clock) if one.ask_id == asked.ask_id)
        call = self._log.history.calls[asked.call_id].call
        approved = self._approver(call.tool, copy_of(self.read(call.arguments)))
        answer(
            self._journal,
            _RUN,
            ask.ask_id,
            "approve" if approved else "deny",
            by=_PERSON,
            why="the task needs it" if approved else "the task does not need it",
            now_ms=self._clock,
            digest=ask.digest,
            nonce=ask.nonce,
            confirm=ask.tool if ask.step_up else None,
        )
        return approved

    def _mandated(self, call: CallView) -> bool:
        return (call.tool, call.arguments) in self._mandates


class GateDoors:
    """Makes a `GateDoor` a run; a `DoorFor`. The plan of a task is written once. Use it as a context: it holds an event loop.

    `last` is the door that was made last: what plays a run looks into its journal there.
    """

    def __init__(
        self,
        plan_for: PlanFor,
        *,
        mandates: bool = False,
        rules: tuple[Rule, ...] = (),
        now_ns: Callable[[], int] | None = None,
    ) -> None:
        self._plan_for = plan_for
        self._signed = mandates
        self._rules = rules
        self._now_ns = now_ns
        self._plans: dict[tuple[str, str], TaskPlan] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._last: GateDoor | None = None

    def __enter__(self) -> "GateDoors":
        self._loop = asyncio.new_event_loop()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._loop is not None:
            self._loop.close()
            self._loop = None

    @property
    def last(self) -> GateDoor:
        assert self._last is not None, "no run has been played"
        return self._last

    def __call__(self, suite: Suite, task: UserTask, world: World, approver: Approver) -> GateDoor:
        assert self._loop is not None, "use it as a context"
        asked = task_of(suite, task)
        key = (suite.name, task.id)
        if key not in self._plans:
            self._plans[key] = self._plan_for(asked, suite.tools, grant_of(suite), self._rules)
        self._last = GateDoor(
            suite,
            asked,
            self._plans[key],
            world,
            approver,
            self._loop,
            mandates=[call for call in task.calls if call.mandate] if self._signed else (),
            rules=self._rules,
            now_ns=self._now_ns,
        )
        return self._last


def faults(events: Sequence[ev.Event], read: ReadBlob, *, made: int, performed: int) -> tuple[str, ...]:
    """What is wrong with a run's journal, one line each: what an audit finds, and calls and effects that are not on record.

    `made` are the calls that went to the gate, `performed` those that came out at the world.
    """
    report = audit(events, read)
    found = [finding.line() for finding in report.findings]
    if report.calls != made:
        found.append(f"{made} calls were made, {report.calls} are on record")
    if report.effects != performed:
        found.append(f"the world was asked {performed} times, {report.effects} intents are on record")
    decided = {event.body.call_id: event.body for event in events if isinstance(event.body, ev.CallDecided)}
    for event in events:
        if isinstance(event.body, ev.CallRequested):
            ruling = decided.get(event.body.call.call_id)
            if ruling is None or not ruling.rule or not ruling.why:
                found.append(f"call {event.body.call.call_id}: expected a decision with a rule and a reason on record")
    return tuple(found)
