"""What an actor may do, written down when it begins and only ever narrowed: a resumed or forked run cannot be given more.

A policy file that is edited while a run waits changes what the run may do less, never more; a wider one is for the next run.
"""

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from loopwright.errors import JournalCorrupt
from loopwright.kernel import events as ev
from loopwright.kernel.values import BlobRef, Value
from loopwright.policy.grants import narrowed
from loopwright.policy.policy import Policy
from loopwright.policy.values import Grant, Rule, Task, TaskPlan
from loopwright.tools.results import Rights
from loopwright.tools.runlog import RunLog

__all__ = ["bind"]

V = TypeVar("V", bound=Value)


def bind(log: RunLog, actor: str, policy: Policy, *, grant: Grant, plan: TaskPlan, task_text: str) -> Rights:
    """What `actor` may do from here on in this run, recorded as `PolicyBound` where it is new.

    The first time it is what is given. Later it is narrowed by what was bound before: the smaller grant, the first plan (written before
    anything untrusted was read), the values that were the user's own then and are now, every denial and ask of either policy, and only
    the allowances of both. Raises: `JournalCorrupt` when what was bound cannot be read.
    """

    def build(at_ms: int) -> tuple[Sequence[ev.Body], Rights]:
        before = log.history.bound.get(actor)
        now, held, chosen = policy, grant, plan
        if before is not None:
            first = _read(log, before.policy, Policy)
            now = msgspec.structs.replace(
                policy, rules=_stricter(first.rules, policy.rules), own=_both(first.own, policy.own)
            )
            held = narrowed(_read(log, before.grant, Grant), grant)
            chosen = _read(log, before.plan, TaskPlan)
        bound = ev.PolicyBound(actor, _write(log, now), _write(log, held), _write(log, chosen))
        rights = Rights(Task(task_text, now.own), chosen, held, now.rules)
        return ([] if before == bound else [bound]), rights

    return log.commit(build)


def _stricter(first: Sequence[Rule], now: Sequence[Rule]) -> tuple[Rule, ...]:
    kept = [rule for rule in first if rule.verdict != "allow" or rule in now]
    return (*kept, *(rule for rule in now if rule.verdict != "allow" and rule not in kept))


def _both(first: Sequence[str], now: Sequence[str]) -> tuple[str, ...]:
    return tuple(value for value in first if value in now)


def _write(log: RunLog, value: Value) -> BlobRef:
    return log.blobs.put(msgspec.json.encode(value, order="sorted"), "application/json")


def _read(log: RunLog, ref: BlobRef, kind: type[V]) -> V:
    try:
        return msgspec.json.decode(log.blobs.get(ref), type=kind)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise JournalCorrupt(
            f"run {log.run_id!r}: expected the {kind.__name__.lower()} that was bound, found {error}; start a new run"
        ) from None
