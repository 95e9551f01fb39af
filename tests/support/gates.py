"""A gate over a real journal, with tools whose world a test can look at."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from loopwright.journal.protocol import Journal
from loopwright.kernel import events as ev
from loopwright.kernel.values import Budget, Spend
from loopwright.policy.decide import decide
from loopwright.policy.policy import ToolLabels
from loopwright.policy.values import (
    Argument,
    CallBudget,
    Grant,
    Json,
    OutputField,
    PlanStep,
    Rule,
    Task,
    TaskPlan,
    ToolSpec,
)
from loopwright.sandbox.protocol import ExecResult, ExecSpec
from loopwright.testing.clock import FakeClock
from loopwright.tools.approvals.answer import OpenAsk, answer, open_asks
from loopwright.tools.gate import Gate
from loopwright.tools.protocol import Happened, Preview, Toolbox, ToolContext, ToolOutput
from loopwright.tools.registry import Registry
from loopwright.tools.results import CallResult, Decide, Place, Rights, Settings
from loopwright.tools.runlog import RunLog
from support.worlds import loop, started

__all__ = ["ACTOR", "LOOK", "PAY", "SEND", "WIPE", "Desk", "FakeSandbox", "FakeTool", "begin", "desk"]

ACTOR = "agent"

LOOK = ToolSpec("box.look", "read", (Argument("path", "object"),), (OutputField("", "free"),), private_output=True)
SEND = ToolSpec(
    "mail.send",
    "send",
    (Argument("to", "target"), Argument("body", "content", required=False)),
    untrusted_output=False,
)
WIPE = ToolSpec("disk.wipe", "destroy", (Argument("path", "object"),), untrusted_output=False)
PAY = ToolSpec("api.ask", "net_read", (Argument("query", "query"),), untrusted_output=False)

_ALL = ("read", "net_read", "write_own", "share", "send", "spend", "destroy", "credential", "exec")


class FakeSandbox:
    """Only its properties are asked for."""

    def __init__(self, *, isolated: bool = True) -> None:
        self.isolated = isolated
        self.overlays = False
        self.uid = 0
        self.description = "none of a test"

    async def run(self, spec: ExecSpec) -> ExecResult:
        raise NotImplementedError

    def kill_orphans(self, run_id: str) -> int:
        return 0

    def release(self, folder: Path) -> None:
        return None

    def close(self) -> None:
        return None


async def _nothing(context: ToolContext) -> None:
    return None


@dataclass
class FakeTool:
    """Counts its effects in `done`, each as `(arguments, key)`. `before` and `after` run around the effect; `state` is what the
    precondition is a function of."""

    spec: ToolSpec
    output: Json = "done"
    spend: Spend = Spend()
    state: str = ""
    diff: str = ""
    before: Callable[[ToolContext], Awaitable[None]] = _nothing
    after: Callable[[ToolContext], Awaitable[None]] = _nothing
    answers: bool = True
    error: Exception | None = None
    sent_bytes: int = 0
    looked: int = 0
    done: list[tuple[Mapping[str, Json], str]] = field(default_factory=list)

    async def preview(self, arguments: Mapping[str, Json], context: ToolContext) -> Preview:
        self.looked += 1
        if self.error is not None:
            raise self.error
        return Preview(precondition=self.state, diff=self.diff, spend=self.spend)

    async def call(self, arguments: Mapping[str, Json], context: ToolContext) -> ToolOutput:
        await self.before(context)
        self.done.append((arguments, context.key))
        await self.after(context)
        return ToolOutput("ok", self.output, spend=self.spend, sent_bytes=self.sent_bytes)

    async def happened(self, arguments: Mapping[str, Json], context: ToolContext) -> Happened:
        if not self.answers:
            return Happened("unknown", message="it keeps no record")
        did = any(key == context.key for _, key in self.done)
        return Happened("yes", ToolOutput("ok", self.output, spend=self.spend)) if did else Happened("no")


@dataclass
class Desk:
    """Everything around one gate of one run."""

    journal: Journal
    run_id: str
    clock: FakeClock
    gate: Gate
    registry: Registry

    def call(self, tool: str, arguments: Mapping[str, Json], *, reason: str = "", actor: str = ACTOR) -> CallResult:
        return asyncio.run(self.gate.call(actor, tool, arguments, reason=reason))

    @property
    def bodies(self) -> list[ev.Body]:
        return [event.body for event in self.journal.read(self.run_id)]

    def kinds(self) -> list[str]:
        """The kinds of the events after the run's start."""
        return [ev.kind_of(body) for body in self.bodies[1:]]

    @property
    def asks(self) -> tuple[OpenAsk, ...]:
        return open_asks(self.journal, self.run_id, self.clock)

    def approve(self, ask_id: str, *, confirm: str | None = None) -> None:
        ask = next(a for a in self.asks if a.ask_id == ask_id)
        answer(
            self.journal, self.run_id, ask_id, "approve", by="ada", why="", now_ms=self.clock,
            digest=ask.digest, nonce=ask.nonce, confirm=confirm,
        )  # fmt: skip

    def deny(self, ask_id: str, why: str = "not now") -> None:
        answer(self.journal, self.run_id, ask_id, "deny", by="ada", why=why, now_ms=self.clock)


def begin(journal: Journal, run_id: str, *, budget: Budget | None = None) -> None:
    """A run in the journal, with the budget given."""
    journal.append(run_id, [started(loop(budget=budget or Budget(iterations=20)))], expect_seq=0)


def desk(
    journal: Journal,
    *tools: FakeTool,
    run_id: str = "r1",
    task: str = "Send the report to bob@example.org and look at report.txt.",
    plan: Sequence[PlanStep] = (PlanStep("mail.send", None), PlanStep("api.ask", None), PlanStep("own.write", None)),
    budget: Budget | None = None,
    calls: CallBudget | None = None,
    rules: tuple[Rule, ...] = (),
    settings: Settings | None = None,
    judge: Decide = decide,
    clock: FakeClock | None = None,
    sandboxed: bool = True,
    timeout_s: float = 60.0,
    boxes: Sequence[Toolbox] = (),
    labels: Sequence[ToolLabels] = (),
) -> Desk:
    """A gate over `tools` for the actor `ACTOR`; the run begins now unless the journal has it."""
    if journal.head(run_id) is None:
        begin(journal, run_id, budget=budget)
    clock = clock or FakeClock(1_700_000_000_000)
    registry = Registry(tools, boxes, labels)
    grant = Grant(
        tools=tuple(spec.name for spec in registry.manifest),
        effects=_ALL,  # type: ignore[arg-type]  # every word of the literal
        budget=calls or CallBudget(calls=1000, sends=1000, asks=10, per_minute=None, identical=None),
    )
    rights = {ACTOR: Rights(Task(task), TaskPlan(tuple(plan)), grant, rules)}
    nonces = itertools.count(1)
    gate = Gate(
        RunLog(journal, run_id, clock),
        registry,
        rights,
        Place(FakeSandbox(isolated=sandboxed), Path("/nowhere"), timeout_s=timeout_s),
        judge,
        new_nonce=lambda: f"nonce{next(nonces)}",
        settings=settings,
    )
    return Desk(journal, run_id, clock, gate, registry)
