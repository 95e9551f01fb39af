"""The keys of the loop file's top level, and how they become a `Loop`. A new key is a line in its table and a value in the kernel."""

from typing import Literal

from loopwright.kernel.loop import (
    EvaluatePolicy,
    Loop,
    MetricSource,
    Permit,
    Source,
)
from loopwright.kernel.values import Budget
from loopwright.loopfile._kinds import NAME, Choice
from loopwright.loopfile._limit_keys import BUDGET, EVALUATE, PERMIT, STOP
from loopwright.loopfile._numbers import count, minutes_as_s
from loopwright.loopfile._table import NO_FIELDS, Fields, Key, ListOf, Record, Table
from loopwright.loopfile._work_keys import ACT, OBSERVE, WHEN

__all__ = ["LOOP", "LoopKeys", "loop_of"]

_DELIVER: dict[str, Literal["branch", "pull-request", "patch", "file"]] = {
    "branch": "branch",
    "pull-request": "pull-request",
    "patch": "patch",
    "file": "file",
}
_UNATTENDED: dict[str, Literal["deny", "pause"]] = {"deny": "deny", "pause": "pause"}


class LoopKeys(Table):
    name = Key(NAME, "The loop's name, part of its branches: `loopwright/<name>/<run>`.", required=True)
    when = Key(ListOf(WHEN, "triggers"), "What starts a run by itself.", absent="only by hand")
    observe = Key(
        ListOf(OBSERVE, "sources", least=1), "What is looked at before each step.", absent="what `evaluate` names"
    )
    act = Key(ListOf(ACT, "rungs", least=1), "The ladder of proposers, cheapest first.", required=True)
    evaluate = Key(EVALUATE, "How a proposal is judged.", required=True)
    stop = Key(
        STOP,
        "When a run ends without having reached its goal.",
        default=STOP.make(NO_FIELDS),
        absent="below",
    )
    budget = Key(BUDGET, "What a run may spend.", default=Budget(), absent="no limit")
    permit = Key(PERMIT, "What actors may touch.", default=Permit(), absent="no network, no secrets")
    deliver = Key(
        Choice(_DELIVER),
        "What becomes of the result.",
        default="branch",
    )
    unattended = Key(
        Choice(_UNATTENDED),
        "What happens when an approval is needed and nobody is there.",
        default="deny",
    )
    action_minutes = Key(
        minutes_as_s(zero="leave the key out for 10"), "The longest a single action may take.", default=600, absent="10"
    )
    batch = Key(
        count("proposals", most=1000, zero="leave the key out for one a job"),
        "Proposals judged in one iteration.",
        absent="one a job",
    )


def loop_of(fields: Fields, goal: str) -> Loop:
    """The loop that the keys and the goal say. `observe` left out looks at what `evaluate` judges by."""
    evaluate, stop, budget = fields[LoopKeys.evaluate], fields[LoopKeys.stop], fields[LoopKeys.budget]
    observe = fields.get(LoopKeys.observe)
    return Loop(
        name=fields[LoopKeys.name],
        goal=goal,
        when=fields.get(LoopKeys.when) or (),
        observe=observe if observe is not None else observed_by(evaluate),
        act=fields[LoopKeys.act],
        evaluate=evaluate,
        stop=stop.rules,
        budget=Budget(budget.usd_micros, budget.tokens, stop.wall_ms, stop.iterations),
        permit=fields[LoopKeys.permit],
        deliver=fields[LoopKeys.deliver],
        unattended=fields[LoopKeys.unattended],
        action_timeout_s=fields[LoopKeys.action_minutes],
        batch=fields.get(LoopKeys.batch),
    )


def observed_by(evaluate: EvaluatePolicy) -> tuple[Source, ...]:
    """The sources that see exactly what the verifiers judge."""
    tests = (evaluate.tests,) if evaluate.tests is not None else ()
    metric = evaluate.metric
    return (*tests, MetricSource(metric.run, metric.name)) if metric is not None else tests


LOOP: Record[Fields] = Record(LoopKeys, lambda fields: fields)
