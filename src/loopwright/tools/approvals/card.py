"""What a person is shown before a call is done: rendered from the canonical bytes, never from the agent's words.

Every line begins with a heading of ours or with an indent; a stranger's text cannot begin one, since line ends in it are escaped. The
agent's reason comes last and quoted: it is a claim of whoever wants the approval. Pure.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from loopwright.kernel.calls import Origin
from loopwright.kernel.values import Spend
from loopwright.policy.values import Json, Ruling, ToolSpec
from loopwright.tools.approvals.safe_text import flags, lines, shown

__all__ = ["STEP_UP", "Card", "question", "render"]

STEP_UP: Final = ("destroy", "credential", "spend")
"""Effects whose approval needs the step-up confirmation, whatever else a policy says."""

DIFF_LINES: Final = 200
REASON_LINES: Final = 20
ITEMS: Final = 100
"""Items of a list that are shown; a person is told how many are not."""
_MEANING: Final = {
    "read": "reads on this machine",
    "net_read": "reads over the network",
    "write_own": "writes what this run owns",
    "share": "shows something to others",
    "send": "sends something to others",
    "spend": "pays",
    "destroy": "destroys something",
    "credential": "touches credentials",
    "exec": "runs a program",
}
_SOURCES: Final = {
    "task": "the task",
    "plan": "the plan",
    "trusted": "a trusted source",
    "untrusted": "UNTRUSTED text",
    "run": "this run's own work",
    "unknown": "NOWHERE that was seen",
}


@dataclass(frozen=True, slots=True)
class Card:
    """`arguments` is the canonical text; `redacted`: parts of it were replaced in what is shown, the digest binds the whole."""

    run_id: str
    actor: str
    spec: ToolSpec
    arguments: bytes
    digest: str
    ruling: Ruling
    spend: Spend
    diff: str
    notes: tuple[str, ...]
    reason: str
    expires_in_s: int
    redacted: bool = False


def question(actor: str, spec: ToolSpec, arguments: bytes) -> str:
    """The ask in one line: actor, tool, and the whole of what it is aimed at (`with …`), folded to its hash where it is long.

    Two asks with the same question and a `with` are of the same tool and the same target: only such may be answered together.
    """
    values: dict[str, Json] = json.loads(arguments)
    roles = {a.name: a.role for a in spec.arguments}
    aimed = {name: value for name, value in values.items() if roles.get(name) in ("target", "object")}
    told = ", ".join(f"{shown(name)} {_value(value)}" for name, value in sorted(aimed.items()))
    return f"May {shown(actor)} call {shown(spec.name)}{f' with {told}' if told else ''}?"


def render(card: Card) -> str:
    """The card as text that is safe on any terminal; its lines end with `\\n`."""
    spec = card.spec
    out = [
        f"CALL       {shown(spec.name)}: {_MEANING[spec.effect]}; {'can' if spec.reversible else 'CANNOT'} be taken back",
        f"BY         {shown(card.actor)} in run {shown(card.run_id)}",
        *_arguments(card),
        *_section("CHANGE", lines(card.diff, most=DIFF_LINES) if card.diff else []),
        *_section("NOTE", [shown(note) for note in card.notes]),
        f"COST       {_cost(card.spend)}",
        f"RULE       {shown(card.ruling.rule)}: {shown(card.ruling.why)}",
        *([f"REMEDY     {shown(card.ruling.remedy)}"] if card.ruling.remedy else []),
        f"TAINTED BY {', '.join(shown(call) for call in card.ruling.trail) or 'nothing'}",
        f"APPROVES   this call once, within {card.expires_in_s} s, digest {card.digest}",
    ]
    if spec.effect in STEP_UP or card.ruling.step_up:
        out.append(f"CONFIRM    type {shown(spec.name)} or {card.digest[-6:]} to approve")
    if card.redacted:
        out.append("REDACTED   parts that look like secrets are not shown; the digest binds them as they are")
    if card.reason:
        out.append("REASON     the actor's own words, which prove nothing:")
        out += [f"  > {line}" for line in lines(card.reason, most=REASON_LINES)]
        out += [f"  (the reason {flag})" for flag in flags(card.reason)]
    return "".join(f"{line}\n" for line in out)


def _arguments(card: Card) -> list[str]:
    values: dict[str, Json] = json.loads(card.arguments)
    roles = {a.name: a.role for a in card.spec.arguments}
    out = ["ARGUMENTS" if values else "ARGUMENTS  none"]
    for name in sorted(values, key=lambda name: (_order(roles.get(name)), name)):
        out.append(f"  {shown(name)} [{roles.get(name, 'not declared')}] = {_value(values[name])}")
        for text in _texts(values[name]):
            out += [f"    LOOK: it {flag}" for flag in flags(text)]
        out += [f"    {_where(o)}" for o in card.ruling.origins if _root(o.argument) == name]
    return out


def _value(value: Json) -> str:
    """JSON as a person reads it; only texts can hold anything that needs to be made safe."""
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, list):
        return "[" + ", ".join(_value(item) for item in value[:ITEMS]) + _rest(len(value)) + "]"
    if isinstance(value, dict):
        items = [f"{_quoted(key)}: {_value(value[key])}" for key in sorted(value)[:ITEMS]]
        return "{" + ", ".join(items) + _rest(len(value)) + "}"
    return json.dumps(value)


def _rest(count: int) -> str:
    return f", ⟪… {count - ITEMS} more of {count} NOT SHOWN …⟫" if count > ITEMS else ""


def _quoted(text: str) -> str:
    """A quote in it cannot end it."""
    inner = shown(text).replace('"', '\\"')
    return f'"{inner}"'


def _texts(value: Json) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    if isinstance(value, dict):
        return [text for key, item in value.items() for text in (key, *_texts(item))]
    return []


def _where(origin: Origin) -> str:
    return f"from {_SOURCES[origin.source]}: {shown(origin.argument)} {shown(origin.where)}".rstrip()


def _root(path: str) -> str:
    return path.split("[", 1)[0].split(".", 1)[0]


def _order(role: str | None) -> int:
    roles = ("target", "object", "amount", "secret", "time", "flag", "query", "content")
    return roles.index(role) if role in roles else len(roles)


def _section(heading: str, found: Sequence[str]) -> list[str]:
    return [heading, *(f"  | {line}" for line in found)] if found else []


def _cost(spend: Spend) -> str:
    parts = []
    if spend.usd_micros:
        parts.append(f"at most ${spend.usd_micros / 1_000_000:.6f}")
    if spend.tokens:
        parts.append(f"at most {spend.tokens} tokens")
    return ", ".join(parts) or "none"
