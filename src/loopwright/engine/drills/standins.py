"""Tools of memory alone: for each that the policy grants one with the same labels, so that the user's own rules are attacked and nothing
of the user's is touched."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

from loopwright.kernel.calls import ToolEffect
from loopwright.policy.policy import Policy, ToolLabels
from loopwright.policy.values import Argument, Json, OutputField, ToolSpec
from loopwright.tools.files import LIST, READ, REMOVE, WRITE
from loopwright.tools.http_spec import GET, SEND
from loopwright.tools.pay.tool import PAY_SPEC
from loopwright.tools.protocol import Happened, Preview, ToolContext, ToolOutput
from loopwright.tools.shell import RUN

__all__ = ["StandIn", "spec_of_effect", "specs_of_policy"]

_OURS: Final = {spec.name: spec for spec in (READ, LIST, WRITE, REMOVE, RUN, GET, SEND, PAY_SPEC)}
_WORST: Final[tuple[ToolEffect, ...]] = (
    "send", "share", "spend", "destroy", "credential", "net_read", "exec", "write_own", "read",
)  # fmt: skip
_ARGUMENTS: Final[dict[ToolEffect, tuple[Argument, ...]]] = {
    "read": (Argument("path", "object"),),
    "net_read": (Argument("url", "target"),),
    "write_own": (Argument("path", "object"), Argument("text", "content")),
    "share": (Argument("item", "object"), Argument("to", "target")),
    "send": (Argument("to", "target"), Argument("body", "content", required=False)),
    "spend": (Argument("payee", "target"), Argument("amount_minor", "amount")),
    "destroy": (Argument("path", "object"),),
    "credential": (Argument("name", "secret"),),
    "exec": (Argument("argv", "content"),),
}


@dataclass
class StandIn:
    """Keeps what was done in `done` and gives back `output`; `state` is what a call's precondition is a function of. `turns_at`: from that
    look on it is another."""

    spec: ToolSpec
    output: Json = "done"
    state: str = ""
    turns_at: int | None = None
    looks: int = 0
    done: list[Mapping[str, Json]] = field(default_factory=list)

    async def preview(self, arguments: Mapping[str, Json], context: ToolContext) -> Preview:
        self.looks += 1
        turned = self.turns_at is not None and self.looks >= self.turns_at
        return Preview(precondition="another" if turned else self.state)

    async def call(self, arguments: Mapping[str, Json], context: ToolContext) -> ToolOutput:
        self.done.append(dict(arguments))
        return ToolOutput("ok", self.output)

    async def happened(self, arguments: Mapping[str, Json], context: ToolContext) -> Happened:
        return Happened("no")


def spec_of_effect(name: str, effect: ToolEffect, roles: ToolLabels | None = None) -> ToolSpec:
    """A tool that does this, with plain arguments, or with those that the labels name where they name any of that role."""
    arguments = _ARGUMENTS[effect]
    if roles is not None:
        named = tuple(Argument(label.argument, label.role, required=False) for label in roles.roles)
        taken = {argument.role for argument in named}
        arguments = (*named, *(argument for argument in arguments if argument.role not in taken))
    output = (OutputField("", "free"),) if effect in ("read", "net_read") else ()
    return ToolSpec(name, effect, arguments, output, reversible=False)


def specs_of_policy(policy: Policy) -> tuple[ToolSpec, ...]:
    """The granted tools: our own as they are, the others by the effect that the policy says, or else by the worst that it grants."""
    labels = {label.tool: label for label in policy.tools}
    for server in policy.mcp:
        labels |= {
            f"{server.name}.{label.tool}": msgspec.structs.replace(label, tool=f"{server.name}.{label.tool}")
            for label in server.labels
        }
    found: list[ToolSpec] = []
    for name in dict.fromkeys(policy.grant.tools):
        if name in _OURS:
            found.append(_OURS[name])
            continue
        label = labels.get(name)
        effect = label.effect if label is not None else None
        worst: ToolEffect = next((one for one in _WORST if one in policy.grant.effects), "send")
        found.append(spec_of_effect(name, effect or worst, label))
    return tuple(found)
