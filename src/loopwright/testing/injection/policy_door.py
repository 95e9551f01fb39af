"""The door that decides by `loopwright.policy`: the plan from the task's text alone, then a ruling a call. No journal, no waiting.

It holds what a gate holds in a run (the calls so far, with their outputs) and asks an `Approver` where a gate would ask a person.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, get_args

import msgspec

from loopwright.errors import UsageError
from loopwright.kernel.calls import CallStatus, ToolEffect
from loopwright.policy.decide import decide
from loopwright.policy.taint import taint_of
from loopwright.policy.values import CallView, Grant, PastCall, Rule, Ruling, Situation, Task, TaskPlan, ToolSpec
from loopwright.testing.injection.agent import ACTOR
from loopwright.testing.injection.doors import Approver, Door, Reply
from loopwright.testing.injection.run import DoorFor
from loopwright.testing.injection.suite import Call, Json, Suite, ToolFailed, UserTask, World
from loopwright.tools.canonical import call_digest, canonical, canonical_output

__all__ = ["STEP_MS", "PlanFor", "PolicyDoor", "grant_of", "policy_door", "task_of"]

PlanFor = Callable[[Task, tuple[ToolSpec, ...], Grant, tuple[Rule, ...]], TaskPlan]
"""Writes the plan of a task, from what the user and the policy say and from nothing else."""

STEP_MS: Final = 1500
"""Simulated time a call takes: 40 calls a minute, below the default rate."""


_OUTPUT_BYTES: Final = 1 << 20


class PolicyDoor:
    """Decides every call by the policy, performs what is allowed, and asks `approver` what is to be asked.

    `mandates` are payments that the user signed for with the task: each covers one call, of exactly these arguments, once.
    """

    def __init__(
        self,
        suite: Suite,
        task: Task,
        plan: TaskPlan,
        world: World,
        approver: Approver,
        *,
        mandates: Sequence[Call] = (),
        rules: tuple[Rule, ...] = (),
    ) -> None:
        self._world = world
        self._approver = approver
        self._mandates = {_view(call.tool, call.arguments, ACTOR).digest for call in mandates}
        self._specs = {spec.name: spec for spec in suite.tools}
        self._now = Situation(task, plan, grant_of(suite), suite.tools, past=(), now_ms=STEP_MS, rules=rules)

    def rule(self, tool: str, arguments: Mapping[str, Json], actor: str) -> Ruling:
        """What the policy says to this call now; nothing is done, nothing remembered."""
        view = _view(tool, arguments, actor)
        return decide(view, self._situation(view))

    def call(self, tool: str, arguments: Mapping[str, Json], actor: str) -> Reply:
        view = _view(tool, arguments, actor)
        situation = self._situation(view)
        first = ruling = decide(view, situation)
        if first.verdict == "ask" and self._approver(tool, arguments):
            ruling = decide(view, msgspec.structs.replace(situation, approved=view.digest))
        if ruling.verdict == "allow":
            self._mandates.discard(view.digest)
            reply = self._perform(tool, arguments, asked=first.verdict == "ask", rule=first.rule)
            self._remember(
                view,
                first,
                "error" if reply.failed else "ok",
                canonical_output(reply.output, limit_bytes=_OUTPUT_BYTES).decode(),
            )
        else:
            reply = Reply("deny", asked=first.verdict == "ask", rule=ruling.rule)
            self._remember(view, first, "denied", "")
        return reply

    def _situation(self, view: CallView) -> Situation:
        return msgspec.structs.replace(self._now, mandated=view.digest) if view.digest in self._mandates else self._now

    def _perform(self, tool: str, arguments: Mapping[str, Json], *, asked: bool, rule: str) -> Reply:
        try:
            return Reply("allow", self._world.perform(tool, arguments), asked=asked, rule=rule)
        except ToolFailed as error:
            return Reply("allow", asked=asked, rule=rule, failed=str(error))

    def _remember(self, view: CallView, first: Ruling, status: CallStatus, output: str) -> None:
        spec = self._specs.get(view.tool)
        done = status != "denied"
        past = PastCall(
            call_id=f"c{len(self._now.past) + 1}",
            actor=view.actor,
            tool=view.tool,
            arguments=view.arguments,
            digest=view.digest,
            verdict=first.verdict,
            status=status,
            taint=taint_of(spec) if spec is not None and done else "none",
            at_ms=self._now.now_ms,
            sent_bytes=len(view.arguments)
            if spec is not None and done and spec.effect in ("share", "send", "spend")
            else 0,
            output=output,
            rule=first.rule,
            started=done,
        )
        self._now = msgspec.structs.replace(self._now, past=(*self._now.past, past), now_ms=self._now.now_ms + STEP_MS)


def policy_door(plan_for: PlanFor, *, mandates: bool = False, rules: tuple[Rule, ...] = ()) -> DoorFor:
    """Doors by the policy; each task's plan is written once.

    `mandates`: the user signed for the payments that the task spells out. `rules`: the user's own.
    """
    plans: dict[tuple[str, str], TaskPlan] = {}

    def door_for(suite: Suite, task: UserTask, world: World, approver: Approver) -> Door:
        asked = task_of(suite, task)
        key = (suite.name, task.id)
        if key not in plans:
            plans[key] = plan_for(asked, suite.tools, grant_of(suite), rules)
        signed = [call for call in task.calls if call.mandate] if mandates else []
        return PolicyDoor(suite, asked, plans[key], world, approver, mandates=signed, rules=rules)

    return door_for


def task_of(suite: Suite, task: UserTask) -> Task:
    """The task as the policy sees it: words, and what is the user's own."""
    return Task(task.text, suite.own)


def grant_of(suite: Suite) -> Grant:
    """All tools of the suite with every effect, the hosts that its user named, and the default budget: the plan is what holds."""
    return Grant(tools=tuple(spec.name for spec in suite.tools), effects=get_args(ToolEffect), hosts=suite.hosts)


def _view(tool: str, arguments: Mapping[str, Json], actor: str) -> CallView:
    try:
        text = canonical(arguments)
    except UsageError:
        text = b""  # no JSON that every reader reads alike: no object, which the policy denies
    digest = call_digest(run_id="injection", actor=actor, tool=tool, pin="", arguments=text, precondition="")
    return CallView(actor, tool, text.decode(), digest)
