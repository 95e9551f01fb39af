"""The plan was written from the user's words alone, before anything untrusted was read: a call is in it, with its holes kept, or asked.

One call that is not in the plan may be asked about in a run (an amendment); after that it is refused: a hijacked actor would go on
asking until somebody says yes.
"""

import msgspec

from loopwright.policy.budget import soft
from loopwright.policy.case import DONE, Case, Finding
from loopwright.policy.holes import broken, fits_pins
from loopwright.policy.values import Json, PastCall, PlanStep

__all__ = ["planned"]

_AMENDMENTS = ("ask.plan.not_in_plan", "ask.plan.used_up")


def planned(case: Case) -> Finding:
    """Allowed when one step of the plan has room for the call and all its holes are kept; else what is wrong with the nearest one."""
    near = soft(case)
    if near is not None:
        return near
    steps = [step for step in case.now.plan.steps if step.tool == case.call.tool]
    if not steps:
        return _amendment(case, "ask.plan.not_in_plan", f"the plan of this task does not use {case.call.tool!r}")
    left = _with_room(case, steps)
    if not left:
        total = sum(step.count or 0 for step in steps)
        return _amendment(
            case, "ask.plan.used_up", f"the plan of this task uses {case.call.tool!r} {total} times, and it did"
        )
    findings: list[Finding] = []
    for step in left:
        found = broken(case, step)
        if found is None:
            return Finding(
                "allow", "allow.planned", f"{case.call.tool!r} is in the plan and every argument keeps to it", ""
            )
        findings.append(found)
    return findings[0]


def _amendment(case: Case, rule: str, why: str) -> Finding:
    tool = case.call.tool
    more = f'add a [[plan]] step with tool = "{tool}" to the policy file, or say in the task that it is wanted'
    if rule == "ask.plan.used_up":
        more = f"raise `count` of the [[plan]] step of {tool!r}, or say in the task how many are wanted"
    others = [
        past for past in case.now.past
        if past.rule in _AMENDMENTS and past.digest != case.call.digest
    ]  # fmt: skip
    # Who was asked and said yes to exactly this call has looked at it: that the run asked for others too changes nothing.
    if others and case.now.approved != case.call.digest:
        return Finding("deny", "deny.plan.amended", f"{why}; this run asked for another such call already", more)
    return Finding("ask", rule, why, more)


def _with_room(case: Case, steps: list[PlanStep]) -> list[PlanStep]:
    """The steps that are not used up. Each past call uses up the step with the most pinned values that it keeps to."""
    order = sorted(range(len(steps)), key=lambda i: -sum(h.kind == "pinned" for h in steps[i].holes))
    used = [0] * len(steps)
    for past in case.now.past:
        if past.tool != case.call.tool or not _took_place(past):
            continue
        arguments = _arguments(past)
        room = [i for i in order if fits_pins(steps[i], arguments)]
        fit = next((i for i in room if _more(steps[i], used[i])), None)
        if fit is not None:
            used[fit] += 1
    return [steps[i] for i in order if _more(steps[i], used[i])]


def _more(step: PlanStep, used: int) -> bool:
    return step.count is None or used < step.count


def _took_place(past: PastCall) -> bool:
    return (past.verdict == "allow" or past.started) and past.status in DONE


def _arguments(past: PastCall) -> dict[str, Json]:
    try:
        found = msgspec.json.decode(past.arguments)
    except msgspec.DecodeError:
        return {}
    return found if isinstance(found, dict) else {}
