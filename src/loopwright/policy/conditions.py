"""Whether a user's own rule fits a call. What cannot be told counts against the call: a rule that denies or asks fits when its argument
is missing, one that allows does not (in a policy language where it is the other way round, leaving out an argument is a way through)."""

import msgspec

from loopwright.policy.case import Case
from loopwright.policy.paths import clean, inside
from loopwright.policy.values import Condition, Json, Rule

__all__ = ["fitting"]


def fitting(case: Case, verdict: str) -> Rule | None:
    """The first rule with this verdict that fits the call."""
    return next((rule for rule in case.now.rules if rule.verdict == verdict and _fits(case, rule)), None)


def _fits(case: Case, rule: Rule) -> bool:
    strict = rule.verdict != "allow"
    return rule.tool == case.call.tool and all(_holds(case, condition, strict=strict) for condition in rule.when)


def _holds(case: Case, condition: Condition, *, strict: bool) -> bool:
    if case.arguments is None or condition.argument not in case.arguments:
        return strict
    value = case.arguments[condition.argument]
    items = value if isinstance(value, list) else [value]
    if not items:
        return False
    tests = [_one(condition, item, strict=strict) for item in items]
    return any(tests) if strict else all(tests)


def _one(condition: Condition, value: Json, *, strict: bool) -> bool:
    if condition.kind == "under":
        if not isinstance(value, str) or clean(value) is None:
            return strict
        return any(inside(value, folder) for folder in condition.values)
    return any(_same(wanted, value, strict=strict) for wanted in condition.values)


def _same(wanted: str, value: Json, *, strict: bool) -> bool:
    expected = msgspec.json.decode(wanted)
    if isinstance(expected, str) and isinstance(value, str) and strict:
        return expected.strip().casefold() == value.strip().casefold()
    return type(expected) is type(value) and expected == value
