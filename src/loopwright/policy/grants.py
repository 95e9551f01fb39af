"""Grants can only narrow: `narrowed` is an intersection in every dimension, so no order of narrowing ever gives more.

There is no wildcard: `*` in a set is a name like any other and fits nothing but itself.
"""

from collections.abc import Sequence

from loopwright.policy.paths import inside
from loopwright.policy.values import CallBudget, Grant, PastCall, ToolSpec

__all__ = ["narrowed", "remainder", "within"]


def narrowed(grant: Grant, other: Grant) -> Grant:
    """What both allow. A sub-agent, a cron run, a resumed run, a skill: each gets its parent's grant narrowed by its own."""
    return Grant(
        tools=_both(grant.tools, other.tools),
        effects=tuple(e for e in grant.effects if e in other.effects),
        hosts=_both(grant.hosts, other.hosts),
        secrets=tuple(s for s in grant.secrets if s in other.secrets),
        write=_paths(grant.write, other.write),
        budget=_budget(grant.budget, other.budget),
    )


def within(inner: Grant, outer: Grant) -> bool:
    """Whether `inner` allows nothing that `outer` does not."""
    tight = _budget(inner.budget, outer.budget) == inner.budget
    sets = (
        set(inner.tools) <= set(outer.tools)
        and set(inner.effects) <= set(outer.effects)
        and set(inner.hosts) <= set(outer.hosts)
        and set(inner.secrets) <= set(outer.secrets)
    )
    return tight and sets and all(any(inside(path, folder) for folder in outer.write) for path in inner.write)


def remainder(budget: CallBudget, past: Sequence[PastCall], manifest: Sequence[ToolSpec], actor: str) -> CallBudget:
    """What `actor` and those below it (`actor/…`) have left of `budget`: the most that a new sub-agent may be given."""
    from loopwright.policy.budget import used

    spent = used(past, manifest, actor)
    return CallBudget(
        calls=_less(budget.calls, spent.calls),
        sends=_less(budget.sends, spent.sends),
        bytes_out=_less(budget.bytes_out, spent.bytes_out),
        asks=_less(budget.asks, spent.asks),
        per_minute=budget.per_minute,
        identical=budget.identical,
        amount_minor=_less(budget.amount_minor, spent.amount_minor),
        soft_percent=budget.soft_percent,
    )


def _both(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in one if name in other)


def _paths(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    """The deeper path of each nested pair: `src/` and `src/a/` leave `src/a/`."""
    kept = [path for path in one if any(inside(path, folder) for folder in other)]
    kept += [path for path in other if path not in kept and any(inside(path, folder) for folder in one)]
    return tuple(kept)


def _budget(one: CallBudget, other: CallBudget) -> CallBudget:
    return CallBudget(
        calls=_tighter(one.calls, other.calls),
        sends=_tighter(one.sends, other.sends),
        bytes_out=_tighter(one.bytes_out, other.bytes_out),
        asks=_tighter(one.asks, other.asks),
        per_minute=_tighter(one.per_minute, other.per_minute),
        identical=_tighter(one.identical, other.identical),
        amount_minor=_tighter(one.amount_minor, other.amount_minor),
        soft_percent=min(one.soft_percent, other.soft_percent),
    )


def _tighter(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return one if other is None else other
    return min(one, other)


def _less(limit: int | None, spent: int) -> int | None:
    return None if limit is None else max(0, limit - spent)
