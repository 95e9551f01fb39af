"""Permission budgets: how much an actor may do at all, whatever it is. Everything is counted from the past calls, nothing is kept.

An actor's count includes those below it (`agent` counts `agent/1`), so that work handed down is not work for free.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from loopwright.policy.case import DONE, SENDING, Case, Finding
from loopwright.policy.values import CallBudget, Json, PastCall, ToolSpec

__all__ = ["Used", "amount_minor", "asked_out", "hard", "soft", "used"]

_MINUTE_MS = 60_000
_OUTWARD = SENDING | {"net_read"}


@dataclass(frozen=True, slots=True)
class Used:
    calls: int
    sends: int
    bytes_out: int
    asks: int
    amount_minor: int


def used(past: Sequence[PastCall], manifest: Sequence[ToolSpec], actor: str) -> Used:
    """What `actor` and those below it used up. A call that was started counts, whatever became of it."""
    specs = {spec.name: spec for spec in manifest}
    calls = sends = out = asks = amount = 0
    for call in past:
        if not _counts_for(call, actor):
            continue
        if call.verdict == "ask":
            asks += 1
        if not started(call):
            continue
        calls += 1
        out += call.sent_bytes
        spec = specs.get(call.tool)
        if spec is not None and spec.effect in SENDING and call.status in DONE:
            sends += 1
            amount += amount_minor(spec, call.arguments)
    return Used(calls, sends, out, asks, amount)


def started(call: PastCall) -> bool:
    """Whether the call got as far as its intent: allowed, or asked about, approved and then done."""
    return call.started or call.verdict == "allow" or (call.verdict == "ask" and call.status not in (None, "denied"))


def hard(case: Case) -> Finding | None:
    """The budget that this call would overdraw."""
    limit, call = case.now.grant.budget, case.call
    if case.spec is None:
        return None
    spent = used(case.now.past, case.now.manifest, call.actor)
    for name, most, would_be in _after(case, spent):
        if most is not None and would_be > most:
            return _over(name, most, would_be)
    mine = [past for past in case.now.past if _counts_for(past, call.actor)]
    if limit.per_minute is not None:
        recent = 1 + sum(past.at_ms > case.now.now_ms - _MINUTE_MS for past in mine)
        if recent > limit.per_minute:
            return Finding(
                "deny", "deny.budget.per_minute",
                f"{recent} calls within a minute, {limit.per_minute} are allowed",
                f"wait a minute, or set `per_minute = {recent}` under [budget] of the policy file",
            )  # fmt: skip
    if limit.identical is not None:
        same = 1 + sum(past.tool == call.tool and past.arguments == call.arguments for past in mine)
        if same > limit.identical:
            return Finding(
                "deny", "deny.budget.identical",
                f"the very same call of {call.tool!r} for the {same}th time, {limit.identical} are allowed",
                f"set `identical = {same}` under [budget] of the policy file",
            )  # fmt: skip
    return None


def soft(case: Case) -> Finding | None:
    """The budget of which this call would take the last part."""
    limit = case.now.grant.budget
    for name, most, would_be in _after(case, used(case.now.past, case.now.manifest, case.call.actor)):
        if most is not None and would_be > math.ceil(most * limit.soft_percent / 100):
            return Finding(
                "ask", f"ask.budget.{name}",
                f"this call brings {name} to {would_be} of {most}, past {limit.soft_percent}%",
                f"approve the call, or raise `{name}` under [budget] of the policy file",
            )  # fmt: skip
    return None


def asked_out(case: Case) -> Finding | None:
    """Too many questions to people already: a person who is asked all the time agrees to anything."""
    most = case.now.grant.budget.asks
    if most is None:
        return None
    asked = {past.digest for past in case.now.past if past.verdict == "ask" and _counts_for(past, case.call.actor)}
    if case.call.digest in asked or len(asked) < most:
        return None
    return Finding(
        "deny", "deny.budget.asks",
        f"{len(asked)} calls of this run were asked about already, {most} are allowed",
        f"set `asks = {len(asked) + 1}` under [budget] of the policy file",
    )  # fmt: skip


def amount_minor(spec: ToolSpec, arguments: str) -> int:
    """The sum of a call's amounts in minor units, rounded up. An argument named `…_minor` or `…_cents` is in them already."""
    named = [a.name for a in spec.arguments if a.role == "amount"]
    if not named:
        return 0
    try:
        given = msgspec.json.decode(arguments)
    except (msgspec.DecodeError, RecursionError):
        return 0
    return _sum(named, given) if isinstance(given, dict) else 0


def _sum(named: list[str], given: Mapping[str, Json]) -> int:
    total = 0
    for name in named:
        value = given.get(name)
        for one in value if isinstance(value, list) else [value]:
            amount = as_number(one)
            if amount is not None:
                total += math.ceil(abs(amount) * (1 if name.endswith(("_minor", "_cents")) else 100) - 1e-6)
    return total


def as_number(value: Json) -> float | None:
    """A finite number that is written as one or as text; anything else is `None`."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value.replace(",", "").strip(" $€£¥") if isinstance(value, str) else value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _after(case: Case, spent: Used) -> list[tuple[str, int | None, int]]:
    """Each budget with its limit and what it would be at after this call; only those that the call takes from."""
    assert case.spec is not None
    limit: CallBudget = case.now.grant.budget
    rows = [("calls", limit.calls, spent.calls + 1)]
    if case.spec.effect in SENDING:
        rows.append(("sends", limit.sends, spent.sends + 1))
        amount = amount_minor(case.spec, case.call.arguments)
        if amount:
            rows.append(("amount_minor", limit.amount_minor, spent.amount_minor + amount))
    if case.spec.effect in _OUTWARD:
        rows.append(("bytes_out", limit.bytes_out, spent.bytes_out + len(case.call.arguments.encode())))
    return rows


def _over(name: str, most: int, would_be: int) -> Finding:
    return Finding(
        "deny", f"deny.budget.{name}",
        f"this call would bring {name} to {would_be}, {most} are allowed",
        f"set `{name} = {would_be}` under [budget] of the policy file",
    )  # fmt: skip


def _counts_for(call: PastCall, actor: str) -> bool:
    return call.actor == actor or call.actor.startswith(actor + "/")
