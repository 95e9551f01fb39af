"""Where each value of a call was seen first: what a person is shown beside it."""

from loopwright.kernel.calls import Origin
from loopwright.policy.case import DONE, SENDING, Case, Part
from loopwright.policy.outputs import holds, seen_in

__all__ = ["origins"]

_MOST = 50


def origins(case: Case) -> tuple[Origin, ...]:
    """One origin for each text and number of the arguments, the first fifty."""
    planned = {
        hole.argument
        for step in case.now.plan.steps
        if step.tool == case.call.tool
        for hole in step.holes
        if hole.kind == "pinned"
    }
    return tuple(_origin(case, part, planned) for part in case.parts[:_MOST])


def _origin(case: Case, part: Part, planned: set[str]) -> Origin:
    path, text = part.leaf.path, part.leaf.text
    if case.said.names(text) or text in case.now.task.text:
        return Origin(path, "task", "the task's own words")
    if part.argument.name in planned:
        return Origin(path, "plan", "fixed by the plan")
    if len(text) < 2:
        return Origin(path, "unknown", "too short to tell")
    for call in case.now.past:
        if not call.output or not holds(call.output, text):
            continue
        spec = case.specs.get(call.tool)
        for seen in seen_in(call, spec):
            if text != seen.leaf.text and text not in seen.leaf.text:
                continue
            where = f"output of {call.tool} (call {call.call_id})" + (f", {seen.leaf.path}" if seen.leaf.path else "")
            if seen.field.trust != "system":
                return Origin(path, "untrusted", where)
            made = spec is not None and (spec.effect == "write_own" or spec.effect in SENDING) and call.status in DONE
            return Origin(path, "run" if made else "trusted", where)
    return Origin(path, "unknown", "composed by the actor")
