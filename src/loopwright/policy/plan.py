"""The plan: which tools the task needs, how often and with which fixed values, from the user's words alone.

It is written before anything untrusted is read, so nothing that is read later can add to it. No model is needed; a plan that a model
wrote is taken only as far as `check_plan` finds each of its names granted and each of its values in the task.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from loopwright.kernel.calls import ToolEffect
from loopwright.policy.intent import called_for, many, words_of
from loopwright.policy.policy import Policy
from loopwright.policy.said import amounts, said
from loopwright.policy.values import Argument, Grant, Hole, Json, PlanStep, Rule, Task, TaskPlan, ToolSpec

__all__ = ["check_plan", "draft_plan", "plan_for"]

_UNPLANNED: Final[frozenset[ToolEffect]] = frozenset({"read", "exec"})
"""Decided before the plan is looked at."""

_PAGE: Final = re.compile(r"\bhttps?://[^\s/]", re.I)
_MAIL: Final = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_QUOTED: Final = re.compile(r"(?<![\w])[\"“”'‘]([^\"“”\n]{1,400}?)[\"“”'’](?![\w])")
_BETWEEN: Final = frozenset(
    {"a", "an", "the", "of", "as", "to", "is", "it", "be", "with", "just", "should", "that", "exactly"}
)
_SLOT: Final = re.compile(r"\{[^{}]*\}|<[^<>]*>|\[[^\[\]]*\]|_{3,}|\.\.\.|…")
_TITLES: Final[dict[str, str]] = {
    "subject": "subject title", "title": "title name subject called named", "body": "body text message content saying says say",
    "content": "content text body saying says say", "text": "text message saying says say body", "message": "message text saying says say",
    "name": "name called named title", "location": "location place", "description": "description", "reason": "reason",
}  # fmt: skip


def draft_plan(task: Task, manifest: Sequence[ToolSpec], grant: Grant, rules: Iterable[Rule]) -> TaskPlan:
    """A step for each granted tool that the task's words call for, with what the task fixes as pins and templates.

    Reading and sandboxed programs need no step. A tool that a rule denies whatever its arguments gets none.
    """
    denied = {rule.tool for rule in rules if rule.verdict == "deny" and not rule.when}
    words = words_of(task.text)
    steps = [
        PlanStep(spec.name, _count(spec, task.text), _holes(spec, task))
        for spec in manifest
        if spec.name in grant.tools
        and spec.effect in grant.effects
        and spec.effect not in _UNPLANNED
        and spec.name not in denied
        and (called_for(spec, words) or _reads_page(spec, task))
    ]
    return TaskPlan(tuple(steps), "task")


def _reads_page(spec: ToolSpec, task: Task) -> bool:
    """A page that the user wrote down is to be looked at, whatever verb stands before it; where else is for the holes to refuse."""
    targets = any(argument.role == "target" for argument in spec.arguments)
    return spec.effect == "net_read" and targets and _PAGE.search(task.text) is not None


def plan_for(policy: Policy, task: Task, manifest: Sequence[ToolSpec]) -> TaskPlan:
    """The policy file's own plan where it has one, else the drafted one. `task.own` is joined with the file's identities by the caller."""
    if policy.plan is not None:
        return TaskPlan(policy.plan, "policy file")
    return draft_plan(task, manifest, policy.grant, policy.rules)


def check_plan(plan: TaskPlan, task: Task, manifest: Sequence[ToolSpec], grant: Grant) -> tuple[str, ...]:
    """What is wrong with a plan that somebody else wrote, one line each; empty when it may be used."""
    specs = {spec.name: spec for spec in manifest}
    problems: list[str] = []
    for number, step in enumerate(plan.steps, 1):
        spec = specs.get(step.tool)
        if spec is None or step.tool not in grant.tools:
            problems.append(f"step {number}: {step.tool!r} is not a granted tool")
            continue
        declared = {argument.name for argument in spec.arguments}
        for hole in step.holes:
            if hole.argument not in declared:
                problems.append(f"step {number}: {step.tool!r} has no argument {hole.argument!r}")
            elif not _from_task(hole, task):
                problems.append(f"step {number}: the value fixed for {hole.argument!r} is not in the task")
    return tuple(problems)


def _count(spec: ToolSpec, text: str) -> int | None:
    if spec.effect in ("net_read", "write_own"):
        return None  # neither reaches anybody; the call budget bounds them
    named = len(set(_MAIL.findall(text)))
    most = many(text)
    return None if most is None else max(most, named)


def _holes(spec: ToolSpec, task: Task) -> tuple[Hole, ...]:
    found: list[Hole] = []
    for argument in spec.arguments:
        hole = _amount(spec, argument, task) if argument.role == "amount" else _quoted(argument, task)
        if hole is not None:
            found.append(hole)
    return tuple(found)


def _amount(spec: ToolSpec, argument: Argument, task: Task) -> Hole | None:
    """The only sum of the task, for the only amount of the tool. Two sums may mean either."""
    sums = amounts(task.text)
    alone = sum(a.role == "amount" for a in spec.arguments) == 1
    if not alone or len(sums) != 1 or argument.name.endswith(("_minor", "_cents")):
        return None
    value = next(iter(sums))
    return Hole(argument.name, "pinned", msgspec.json.encode(int(value) if value.is_integer() else value).decode())


def _quoted(argument: Argument, task: Task) -> Hole | None:
    """A quoted text of the task that stands right after the argument's own name or a word for it (`with the subject "Hello"`)."""
    if argument.role != "content":
        return None
    last = re.split(r"[^a-z]+", argument.name.casefold())[-1]
    for match in _QUOTED.finditer(task.text):
        before = [w for w in re.findall(r"[^\W\d_]+", task.text[: match.start()].casefold()) if w not in _BETWEEN]
        if not before or before[-1] not in _TITLES.get(last, last).split():
            continue
        text = match.group(1)
        if _SLOT.search(text):
            return Hole(argument.name, "template", msgspec.json.encode(_SLOT.sub("{}", text)).decode())
        return Hole(argument.name, "pinned", msgspec.json.encode(text).decode())
    return None


def _from_task(hole: Hole, task: Task) -> bool:
    if hole.kind == "open":
        return True
    try:
        value = msgspec.json.decode(hole.value)
    except msgspec.DecodeError:
        return False
    if hole.kind == "template":
        return isinstance(value, str) and all(
            part.strip().casefold() in task.text.casefold() for part in value.split("{}")
        )
    return all(_said_value(task, leaf) for leaf in _leaves(value))


def _said_value(task: Task, leaf: Json) -> bool:
    if isinstance(leaf, bool) or leaf is None:
        return True
    if isinstance(leaf, int | float):
        return float(leaf) in said(task).sums
    return isinstance(leaf, str) and (said(task).names(leaf) or leaf.strip().casefold() in task.text.casefold())


def _leaves(value: Json) -> list[Json]:
    if isinstance(value, list):
        return [leaf for item in value for leaf in _leaves(item)]
    if isinstance(value, dict):
        return [leaf for inner in value.values() for leaf in _leaves(inner)]
    return [value]
