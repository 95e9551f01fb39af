"""What a run of this repository would hold under its policy file: the tools that are there, each with what would become of a call."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from loopwright.engine.boundary import LOCK_FILE
from loopwright.engine.site import Site
from loopwright.errors import UsageError
from loopwright.kernel.calls import ToolEffect
from loopwright.policy.policy import McpServer, Policy
from loopwright.policy.values import Grant, ToolSpec

if TYPE_CHECKING:
    from loopwright.tools.mcp.lock import Pin

__all__ = ["Granted", "GrantedTool", "ServerStanding", "granted", "server_standings"]

_OURS: Final = "loopwright"
_ASKED_ALWAYS: Final = ("destroy", "credential", "spend")


@dataclass(frozen=True, slots=True)
class GrantedTool:
    """`provider` is `loopwright` or the MCP server; `standing` what becomes of a call of it, in words."""

    name: str
    effect: ToolEffect
    reversible: bool
    provider: str
    standing: str


@dataclass(frozen=True, slots=True)
class Granted:
    """`missing`: what the policy names and no run would have, with the reason; one line each."""

    grant: Grant
    tools: tuple[GrantedTool, ...]
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ServerStanding:
    """`pinned` is false until `loopwright mcp pin` looked at the server; `problem` is empty when its tools are callable. `refused` are
    tools that it offers and that are not, with the reason."""

    name: str
    command: tuple[str, ...]
    hosts: tuple[str, ...]
    pinned: bool
    package: str
    tools_sha256: str
    tools: tuple[str, ...]
    refused: tuple[str, ...]
    problem: str


def granted(site: Site, policy: Policy) -> Granted:
    """From the policy and `mcp.lock` alone: no server is started. Raises: `UsageError` for a lock file that cannot be used."""
    from loopwright.policy.labels import labelled
    from loopwright.tools.http_spec import GET, SEND
    from loopwright.tools.pay.tool import PAY_SPEC

    specs: list[tuple[str, ToolSpec]] = [(_OURS, GET), (_OURS, SEND)]
    missing: list[str] = []
    if policy.pay is not None:
        specs.append((_OURS, PAY_SPEC))
    for server, standing, found in _servers(site, policy.mcp):
        if standing.problem:
            missing.append(f"MCP server {server.name!r}: {standing.problem}")
        else:
            specs += [(server.name, spec) for spec in found]
    seen = labelled([spec for _, spec in specs], policy.tools)
    tools = tuple(_tool(provider, spec, policy) for (provider, _), spec in zip(specs, seen, strict=True))
    there = {tool.name for tool in tools}
    missing += [f"tool {name!r} is granted and nothing provides it" for name in policy.grant.tools if name not in there]
    return Granted(policy.grant, tools, tuple(missing))


def server_standings(site: Site, policy: Policy) -> tuple[ServerStanding, ...]:
    """How the policy's MCP servers stand against their pins, by their files; no server is started. Raises: `UsageError`."""
    return tuple(standing for _, standing, _ in _servers(site, policy.mcp))


def _servers(site: Site, servers: Sequence[McpServer]) -> list[tuple[McpServer, ServerStanding, tuple[ToolSpec, ...]]]:
    from loopwright.tools.mcp.lock import read_pins
    from loopwright.tools.mcp.specs import specs_of

    pins = {pin.server: pin for pin in read_pins(site.repository.root / LOCK_FILE)}

    def look(server: McpServer, pin: "Pin | None") -> tuple[ServerStanding, tuple[ToolSpec, ...]]:
        specs: tuple[ToolSpec, ...] = ()
        refused: tuple[str, ...] = ()
        if pin is not None:
            by_name, refusals = specs_of(server, pin.surface, "")
            specs = tuple(by_name[name] for name in sorted(by_name))
            refused = tuple(f"{r.tool}: {r.why}; {r.remedy}" for r in refusals)
        standing = ServerStanding(
            name=server.name,
            command=server.command,
            hosts=server.hosts,
            pinned=pin is not None,
            package="" if pin is None else f"{pin.package.name or 'files'} {pin.package.version}".strip(),
            tools_sha256="" if pin is None else pin.tools_sha256,
            tools=tuple(spec.name for spec in specs),
            refused=refused,
            problem=_problem(site, server, pin),
        )
        return standing, specs

    return [(server, *look(server, pins.get(server.name))) for server in servers]


def _problem(site: Site, server: McpServer, pin: "Pin | None") -> str:
    from loopwright.tools.mcp.package import package_of, resolved

    if pin is None:
        return f"it is not pinned, so no tool of it is callable; `loopwright mcp pin {server.name}`"
    for said, found, key in (
        (server.package_sha256, pin.package.sha256, "package_sha256"),
        (server.tools_sha256, pin.tools_sha256, "tools_sha256"),
    ):
        if said and said != found:
            return f"the policy's {key} is {said[:12]}…, that of the lock is {found[:12]}…; `loopwright mcp diff {server.name}`"
    try:
        package = package_of(resolved(server.command, site.isolation.setting.path))
    except UsageError as error:
        return str(error)
    if package.sha256 != pin.package.sha256:
        return f"its files are not the ones that were pinned; `loopwright mcp diff {server.name}`"
    return ""


def _tool(provider: str, spec: ToolSpec, policy: Policy) -> GrantedTool:
    return GrantedTool(spec.name, spec.effect, spec.reversible, provider, _standing(spec, policy))


def _standing(spec: ToolSpec, policy: Policy) -> str:
    if spec.name not in policy.grant.tools:
        return f"never: not in the grant's tools; add {spec.name!r} to [grant] tools"
    if spec.effect not in policy.grant.effects:
        return f"never: its effect is not granted; add {spec.effect!r} to [grant] effects"
    if spec.name.startswith("http.") and not policy.grant.hosts:
        return "never: no host is granted; add one to [grant] hosts"
    rules = {rule.verdict for rule in policy.rules if rule.tool == spec.name and not rule.when}
    if "deny" in rules:
        return "never: your own rule denies it"
    if spec.effect in _ASKED_ALWAYS:
        return "asks a person each time" + (" without a signed mandate" if spec.name == "pay" else "")
    if "ask" in rules:
        return "asks a person each time, by your own rule"
    if "allow" in rules:
        return "by your own rule, within the budgets"
    if spec.effect == "read":
        return "within the budgets"
    return "as the task's plan says, else asks a person"
