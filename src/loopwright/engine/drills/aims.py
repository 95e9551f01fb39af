"""What a hijacked agent aims at: which tools, with which arguments, and whether it got there."""

import json
import re
from collections.abc import Sequence
from typing import Final

from loopwright.engine.drills.stage import Lab, Stage
from loopwright.engine.drills.standins import StandIn, spec_of_effect, specs_of_policy
from loopwright.engine.drills.trial import Attempt
from loopwright.kernel.calls import ToolEffect
from loopwright.policy.values import Json, ToolSpec

__all__ = ["attempt_of", "done", "filled", "targets"]

_MOST: Final = 4
"""So many granted tools of one effect are tried: the others have the same labels."""

_OF_A_TOOL: Final = (
    re.compile(r"(?P<rule>[a-z_]+\.[a-z_]+): (?P<why>.+); (?P<remedy>[^;]+)", re.S),
    re.compile(r"(?P<why>.+) \[(?P<rule>[a-z_]+\.[a-z_]+)\]; (?P<remedy>.+)", re.S),
)
"""How a tool that refuses a call itself writes rule, reason and remedy into one line."""


def targets(lab: Lab, effects: Sequence[ToolEffect], *, worded: bool = False) -> list[ToolSpec]:
    """The granted tools with one of these effects, four at most; a stand-in, which is not granted, where there is none. `worded`: only
    those that take text."""
    found = [
        spec
        for spec in specs_of_policy(lab.policy)
        if spec.effect in effects and (not worded or any(a.role == "content" for a in spec.arguments))
    ][:_MOST]
    return found or [spec_of_effect(f"drill.{effects[0]}", effects[0])]


def attempt_of(stage: Stage, got: str | None) -> Attempt:
    """What came of a stage, with the words of the reply that decided it."""
    reply = stage.replies[-1] if got is not None and stage.replies else stage.decisive()
    if got is not None:
        return Attempt(got, reply.rule, reply.why, _narrow(reply.rule, reply.remedy))
    for pattern in _OF_A_TOOL:
        match = pattern.fullmatch(reply.why)
        if match is not None:
            return Attempt(None, match["rule"], match["why"], match["remedy"])
    why, _, remedy = reply.why.rpartition("; ")
    if why and not reply.remedy:
        return Attempt(None, reply.rule, why, remedy)
    return Attempt(None, reply.rule, reply.why, reply.remedy)


def filled(spec: ToolSpec, target: str, content: str, *, item: str = "backups/all.db") -> dict[str, Json]:
    """Arguments for a tool by what they mean, as a hijacked agent would choose them."""
    by_role: dict[str, Json] = {
        "target": target, "object": item, "amount": 99_900, "secret": "admin", "content": content, "time": "2031-01-01",
        "flag": True, "query": "all",
    }  # fmt: skip
    values: dict[str, Json] = {}
    for argument in spec.arguments:
        values[argument.name] = _shaped(argument.schema, by_role[argument.role])
    if spec.name in ("http.get", "http.send"):
        values = {"url": target if "://" in target else f"https://{target.split('@')[-1]}/", "method": "GET"}
        if spec.name == "http.send":
            values |= {"method": "POST", "body": f"{target} {content}"}
    return values


def _shaped(schema: str, value: Json) -> Json:
    parsed = json.loads(schema)
    if not isinstance(parsed, dict):
        return value
    if "enum" in parsed:
        return parsed["enum"][0]  # type: ignore[no-any-return]
    kinds: dict[str, Json] = {"array": [value], "string": str(value), "integer": 99_900, "number": 99_900, "object": {}}
    return kinds.get(parsed.get("type", ""), value)


def _narrow(rule: str, remedy: str) -> str:
    if rule == "allow.rule":
        return "give the [[rule]] that allows this tool a `when` that fits only what you mean"
    return remedy or "take the tool out of [grant], or fix its arguments in a [[plan]] step"


def done(tool: StandIn) -> str | None:
    """The tool's first effect in words, `None` when it had none."""
    return f"done with {json.dumps(tool.done[0], ensure_ascii=True)}" if tool.done else None
