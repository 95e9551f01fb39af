"""From a server's raw tool to the labels that the policy decides by. The user says what a tool does; the server may only make it worse.

Nothing of a server's own words lowers a label: a `readOnlyHint` on a tool that deletes is the oldest lie there is.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from loopwright.errors import UsageError
from loopwright.kernel.calls import ArgumentRole, ToolEffect
from loopwright.policy.labels import raised
from loopwright.policy.names import fold, hidden
from loopwright.policy.policy import McpServer, ToolLabels
from loopwright.policy.values import Argument, Json, OutputField, ToolSpec
from loopwright.tools.approvals.safe_text import shown
from loopwright.tools.canonical import canonical, parse
from loopwright.tools.mcp.surface import Surface, name_of

__all__ = ["Refusal", "effect_under", "specs_of"]

_NAME = re.compile(r"[A-Za-z0-9_./-]{1,64}")
_SERVER = re.compile(r"[a-z0-9][a-z0-9_-]{0,40}")
_DESCRIPTION_CHARS = 2_000


@dataclass(frozen=True, slots=True)
class Refusal:
    """A tool that is offered and not callable: why, and the smallest change that would make it so."""

    tool: str
    why: str
    remedy: str


def specs_of(server: McpServer, surface: Surface, pin: str) -> tuple[dict[str, ToolSpec], tuple[Refusal, ...]]:
    """The callable tools by the server's own name for them, and those that are not.

    Raises: `UsageError` for a server name that cannot stand in front of a tool's.
    """
    if not _SERVER.fullmatch(server.name):
        raise UsageError(f"MCP server name {server.name!a}: expected a-z, 0-9, - and _; rename its section")
    labels = {label.tool: label for label in server.labels}
    raws = [raw for raw in map(parse, surface.tools) if isinstance(raw, dict)]
    twice = _twice(server.name, [name_of(raw) for raw in raws])
    specs: dict[str, ToolSpec] = {}
    refusals: list[Refusal] = []
    for raw in raws:
        name = name_of(raw)
        refused = _refused(server.name, name, labels.get(name), twice)
        if refused is not None:
            refusals.append(refused)
            continue
        try:
            specs[name] = _spec(server, raw, labels[name], pin)
        except UsageError as error:
            refusals.append(Refusal(name, str(error), "report it to the server's author"))
    return specs, tuple(refusals)


def effect_under(label: ToolEffect, annotations: Json, *, reaches_out: bool) -> ToolEffect:
    """The label, raised by what the server admits of the tool, and by an egress list: who can send is never a mere reader."""
    hints = annotations if isinstance(annotations, dict) else {}
    admitted: list[ToolEffect] = []
    if hints.get("openWorldHint") is True or reaches_out:
        admitted.append("net_read")
    if hints.get("readOnlyHint") is False:
        admitted += ["write_own", "send"] if hints.get("openWorldHint") is True else ["write_own"]
    # Beside a `readOnlyHint` it makes no sense, and then the worse of the two is taken.
    if hints.get("destructiveHint") is True:
        admitted.append("destroy")
    for effect in admitted:
        if raised(label, effect):
            label = effect
    return label


def _refused(server: str, name: str, labels: ToolLabels | None, twice: frozenset[str]) -> Refusal | None:
    if not _NAME.fullmatch(name):
        return Refusal(
            shown(name), "its name holds other characters than A-Z a-z 0-9 _ . / -", "report it to the server's author"
        )
    if name in twice:
        return Refusal(
            name, "another tool of the server has a name that reads the same", "report it to the server's author"
        )
    if labels is None or labels.effect is None:
        return Refusal(
            name,
            "nothing says what it does, so it is not callable",
            f'write [mcp.{server}.labels] "{name}" = "read", or whichever of read, net_read, write_own, share, send, spend, destroy, '
            "credential and exec it is",
        )
    return None


def _twice(server: str, names: Sequence[str]) -> frozenset[str]:
    """Names that fold to one spelling: all of them, since which one is meant cannot be told."""
    by_fold: dict[str, list[str]] = {}
    for name in names:
        try:
            by_fold.setdefault(fold(f"{server}.{name}"), []).append(name)
        except UsageError:
            continue
    return frozenset(name for group in by_fold.values() if len(group) > 1 for name in group)


def _spec(server: McpServer, raw: dict[str, Json], labels: ToolLabels, pin: str) -> ToolSpec:
    assert labels.effect is not None, "a tool without an effect is refused before"
    annotations = raw.get("annotations")
    reaches_out = bool(server.hosts)
    private = labels.private_output is not False
    description = raw.get("description")
    return ToolSpec(
        name=f"{server.name}.{name_of(raw)}",
        effect=labels.effect if labels.defines else effect_under(labels.effect, annotations, reaches_out=reaches_out),
        arguments=_arguments(raw, {label.argument: label.role for label in labels.roles}),
        output=(OutputField("", "free", private=private),),
        description=shown(description if isinstance(description, str) else "", limit_chars=_DESCRIPTION_CHARS),
        pin=pin,
        reversible=labels.reversible is True,
        # What a server gives back is whatever it was given or found: never a reason to trust it.
        untrusted_output=labels.untrusted_output is not False or not labels.defines,
        private_output=private,
    )


def _arguments(raw: dict[str, Json], roles: dict[str, ArgumentRole]) -> tuple[Argument, ...]:
    schema = raw.get("inputSchema")
    properties = schema.get("properties") if isinstance(schema, dict) else None
    required = schema.get("required") if isinstance(schema, dict) else None
    needed = required if isinstance(required, list) else []
    found: list[Argument] = []
    for name, described in (properties if isinstance(properties, dict) else {}).items():
        unseen = hidden(name)
        if unseen is not None or not name.isprintable():
            raise UsageError(
                f"an argument's name {name!a} holds {unseen or 'a line end'}; expected characters that show"
            )
        kind = described.get("type") if isinstance(described, dict) else None
        # Unlabelled is the strictest that there is: somebody who receives something. A switch can name nobody.
        role = roles.get(name, "flag" if kind == "boolean" else "target")
        found.append(Argument(name, role, canonical(described, what="schema").decode(), name in needed))
    return tuple(found)
