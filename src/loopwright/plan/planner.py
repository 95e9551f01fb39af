"""The plan of a ladder: what is known, which rung works on it, what must hold afterwards. No model, so it is the same every time."""

from loopwright.kernel.loop import AgentRung, CliRung, CommandRung, EvaluatePolicy, Loop, RepairRung, Rung, TuneRung
from loopwright.kernel.values import Observation, Plan
from loopwright.plan.protocol import PlanRequest
from loopwright.suite.outcome import decode_suite, describe, failing
from loopwright.workspace.workshop import Workshop

__all__ = ["LadderPlanner"]

_LESSONS = 3
_GOAL_CHARS = 200


class LadderPlanner:
    async def plan(self, request: PlanRequest, shop: Workshop) -> Plan:
        loop = request.loop
        failures = _failures(request.observations, shop)
        # What was done so far is an account, and nothing that one reads to find out what is wrong.
        seen = [o.summary for o in request.observations if o.source != "progress"]
        steps = [_localise(failures)] if failures else [f"read the observation: {summary}" for summary in seen]
        steps.append(_search(loop, request.rung))
        if request.lessons:
            number = len(request.lessons)
            steps.append(f"do not repeat what was rejected ({number} lesson{'s' if number != 1 else ''})")
        steps.append(_check(loop.evaluate))
        return Plan(tuple(steps), _rationale(request, failures))


def _failures(observations: tuple[Observation, ...], shop: Workshop) -> tuple[str, ...]:
    """Ids of the tests that fail, over all sources, each once."""
    found: dict[str, None] = {}
    for observation in observations:
        report = decode_suite(observation, shop.blobs)
        if report is not None:
            found |= dict.fromkeys(c.id for c in failing(report))
    return tuple(found)


def _localise(failures: tuple[str, ...]) -> str:
    return f"localise {len(failures)} failing test{'s' if len(failures) != 1 else ''}: {describe(failures)}"


def _search(loop: Loop, rung: int) -> str:
    where = f" in {describe(loop.permit.write)}" if loop.permit.write else ""
    return f"search edits{where} with rung {rung + 1} of {len(loop.act)}, {_name(loop.act[rung])}"


def _check(evaluate: EvaluatePolicy) -> str:
    checks = []
    if evaluate.tests is not None:
        checks.append(f"`{evaluate.tests.run}` breaks nothing and fixes something")
    if evaluate.metric is not None:
        checks.append(f"{evaluate.metric.name} improves ({evaluate.metric.goal})")
    if evaluate.guard is not None:
        checks.append(f"`{evaluate.guard.run}` still holds")
    kept = (
        "keep what passes: " + ", ".join(checks)
        if checks
        else "keep nothing unchecked: this loop has no verifier but its scope"
    )
    return f"{kept}; {describe(evaluate.protect)} untouched" if evaluate.protect else kept


def _rationale(request: PlanRequest, failures: tuple[str, ...]) -> str:
    parts = [o.summary for o in request.observations]
    if request.rung > 0:
        parts.append("the cheaper rungs before this one have nothing more to propose")
    if request.ticket is not None:
        parts.append(f"ticket: {_first_line(request.ticket)}")
    elif not failures:
        parts.append(f"goal: {_first_line(request.loop.goal)}")
    parts += [f"rejected before: {lesson}" for lesson in request.lessons[-_LESSONS:]]
    return f"iteration {request.iteration}: " + "; ".join(p for p in parts if p)


def _first_line(text: str) -> str:
    lines = [line.strip().lstrip("#").strip() for line in text.splitlines()]
    return next((line for line in lines if line), "")[:_GOAL_CHARS]


def _name(rung: Rung) -> str:
    match rung:
        case RepairRung():
            return "repair"
        case TuneRung():
            return "tune"
        case CommandRung(run=run):
            return f"command `{run}`"
        case AgentRung(model=model):
            return f"agent ({model})"
        case CliRung(name=name):
            return f"cli {name}"
