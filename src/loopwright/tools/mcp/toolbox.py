"""A pinned server as a toolbox. The pin is checked when it is opened, before the first call of each run, and whenever the server says
that its lists changed; from the first mismatch on nothing of it is callable.

A changed server is not run at all where that can be seen from outside (its files), and never called where it cannot (its words).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

from loopwright.errors import ActionError, LoopwrightError, SandboxError, UsageError
from loopwright.policy.policy import McpServer
from loopwright.policy.values import Json, ToolSpec
from loopwright.sandbox.protocol import Sandbox
from loopwright.tools.canonical import canonical, digest_of
from loopwright.tools.mcp.client import Client, Ended, connected
from loopwright.tools.mcp.content import value_of
from loopwright.tools.mcp.lock import Pin
from loopwright.tools.mcp.package import package_of
from loopwright.tools.mcp.process import Egress, Launch, started
from loopwright.tools.mcp.specs import Refusal, specs_of
from loopwright.tools.mcp.surface import Surface, difference, surface_digest
from loopwright.tools.protocol import Happened, Preview, ToolContext, ToolOutput

__all__ = ["McpTool", "McpToolbox", "accept_command", "open_toolbox"]

_ASK_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class _Quarantine:
    why: str
    found: Surface | None = None


class McpToolbox:
    """`tools` are those that the user labelled, as they were pinned; `refusals` the offered ones that are not callable, with the
    smallest change that makes them so."""

    def __init__(self, server: McpServer, pin: Pin | None, client: Client | None, egress: Egress | None) -> None:
        self._server = server
        self._pin = pin
        self._client = client
        self._egress = egress
        self._quarantine: _Quarantine | None = None
        self._checked_runs: set[str] = set()
        self._checking = asyncio.Lock()
        self._ends: list[Callable[[], Awaitable[None]]] = []
        specs: dict[str, ToolSpec] = {}
        self.refusals: tuple[Refusal, ...] = ()
        if pin is not None:
            specs, self.refusals = specs_of(server, pin.surface, _pin_digest(pin))
        self._tools = tuple(McpTool(self, name, spec) for name, spec in sorted(specs.items()))

    @property
    def tools(self) -> tuple["McpTool", ...]:
        return self._tools

    @property
    def quarantined(self) -> tuple[str, ...]:
        return tuple(tool.spec.name for tool in self._tools) if self._quarantine is not None else ()

    @property
    def why(self) -> str:
        """Why it is quarantined, with the command that shows and the one that accepts; empty when it is not."""
        if self._quarantine is None:
            return ""
        name = self._server.name
        return (
            f"MCP server {name!r} is quarantined: {self._quarantine.why}; look at `loopwright mcp diff {name}`, "
            f"and if the change is meant: `{accept_command(name, self._quarantine.found)}`"
        )

    @property
    def difference(self) -> str:
        """What the server says now against what was pinned, as a diff that is safe on a terminal; empty when that is not the reason."""
        if self._quarantine is None or self._quarantine.found is None or self._pin is None:
            return ""
        return difference(self._pin.surface, self._quarantine.found)

    @property
    def sent_bytes(self) -> int:
        return 0 if self._egress is None else self._egress.sent_bytes

    def on_close(self, end: Callable[[], Awaitable[None]]) -> None:
        """Awaited after the server is gone, for what was made for it alone."""
        self._ends.append(end)

    async def close(self) -> None:
        try:
            if self._client is not None:
                await self._client.close()
        finally:
            while self._ends:
                await self._ends.pop()()

    async def check(self, run_id: str | None = None) -> None:
        """Compare the server with its pin where that is due: once a run (`None` = now), and after it announced a change.

        Raises: `ActionError` when it cannot be asked. A mismatch raises nothing: see `quarantined`.
        """
        client = self._client
        if client is None or self._pin is None:
            return
        async with self._checking:
            if self._quarantine is not None or (run_id in self._checked_runs and not client.changed):
                return
            self._compare(await client.surface(_ASK_TIMEOUT_S))
            if run_id is not None:
                self._checked_runs.add(run_id)

    async def perform(
        self, name: str, arguments: Mapping[str, Json], context: ToolContext, *, reads: bool
    ) -> ToolOutput:
        """One call of the server's tool `name`. Raises: `CanarySeen` when a decoy was about to leave through the server's egress."""
        try:
            async with asyncio.timeout(context.timeout_s):
                await self.check(context.run_id)
        except (ActionError, UsageError, TimeoutError) as error:
            return ToolOutput(
                "error", None, f"the server could not be checked before the call: {error or 'no answer in time'}"
            )
        if self._quarantine is not None or self._client is None:
            return ToolOutput("denied", None, self.why)
        before = self.sent_bytes
        output = await self._answer(name, arguments, context, reads)
        if self._egress is not None and self._egress.alarm is not None:
            raise self._egress.alarm
        refused = "; ".join(self._egress.refused) if self._egress is not None and output.status != "ok" else ""
        return replace(
            output, sent_bytes=self.sent_bytes - before, message="; ".join(filter(None, (output.message, refused)))
        )

    async def _answer(self, name: str, arguments: Mapping[str, Json], context: ToolContext, reads: bool) -> ToolOutput:
        assert self._client is not None, "a toolbox without a server is quarantined"
        try:
            result = await self._client.call(name, arguments, context.timeout_s)
        except TimeoutError:
            message = f"no answer within {context.timeout_s:g} s; whether it was done is not known"
            return ToolOutput("timeout", None, message)
        except Ended as error:
            # Reading changed nothing; anything else may have been done before it died.
            return ToolOutput("error" if reads else "unknown", None, str(error))
        except ActionError as error:
            return ToolOutput("error", None, str(error))
        if result.is_error:
            return ToolOutput("error", value_of(result), "the tool reports an error")
        return ToolOutput("ok", value_of(result))

    def quarantine(self, why: str, found: Surface | None = None) -> None:
        self._quarantine = self._quarantine or _Quarantine(why, found)

    def _compare(self, found: Surface) -> None:
        assert self._pin is not None, "only a pinned server is asked"
        wanted = self._server.tools_sha256 or self._pin.tools_sha256
        sha256 = surface_digest(found)
        if sha256 != wanted or sha256 != self._pin.tools_sha256:
            self.quarantine(f"what it says of itself changed (tools_sha256 {wanted[:16]} → {sha256[:16]})", found)


class McpTool:
    """One tool of a server; lives as long as its toolbox."""

    def __init__(self, box: McpToolbox, name: str, spec: ToolSpec) -> None:
        self._box = box
        self._name = name
        self._spec = spec

    @property
    def spec(self) -> ToolSpec:
        return self._spec

    async def preview(self, arguments: Mapping[str, Json], context: ToolContext) -> Preview:
        known = {argument.name for argument in self._spec.arguments}
        unknown = sorted(set(arguments) - known)
        missing = sorted(a.name for a in self._spec.arguments if a.required and a.name not in arguments)
        if unknown or missing:
            raise ActionError(
                f"tool {self._spec.name!r}: expected the arguments {sorted(known)}, found unknown {unknown} and missing {missing}; "
                "call it with those that its schema has"
            )
        return Preview(notes=(f"done by MCP server {self._spec.name.partition('.')[0]!r}, which no one can look into",))

    async def call(self, arguments: Mapping[str, Json], context: ToolContext) -> ToolOutput:
        return await self._box.perform(self._name, arguments, context, reads=self._reads)

    async def happened(self, arguments: Mapping[str, Json], context: ToolContext) -> Happened:
        if self._reads:
            return Happened("no", message="reading again is harmless")
        return Happened("unknown", message="an MCP server cannot be asked whether a call was done; look yourself")

    @property
    def _reads(self) -> bool:
        return self._spec.effect in ("read", "net_read")


async def open_toolbox(
    server: McpServer, pin: Pin | None, *, sandbox: Sandbox, launch: Launch, egress: Egress | None = None
) -> McpToolbox:
    """The server's toolbox; quarantined, not raised, when it is not pinned or not what was pinned. The caller closes it.

    `egress` is the way out for `server.hosts`; without one the server has none.

    Raises: `SandboxError` when it cannot be started, `ActionError` when it does not speak MCP, `UsageError` when it cannot be pinned.
    """
    if server.hosts and egress is None:
        raise SandboxError(
            f"MCP server {server.name!r} has hosts {list(server.hosts)} and no way out to them; give it an egress proxy"
        )
    if pin is None:
        box = McpToolbox(server, None, None, egress)
        box.quarantine("it is not pinned yet, so nobody has looked at what it is")
        return box
    try:
        package = package_of(launch.argv)
    except UsageError as error:
        box = McpToolbox(server, pin, None, egress)
        box.quarantine(str(error))
        return box
    wanted = server.package_sha256 or pin.package.sha256
    if package.sha256 != wanted or wanted != pin.package.sha256:
        box = McpToolbox(server, pin, None, egress)
        box.quarantine(f"the files that it runs from changed (package_sha256 {wanted[:16]} → {package.sha256[:16]})")
        return box
    client = await connected(await started(sandbox, launch, egress), launch.start_timeout_s)
    box = McpToolbox(server, pin, client, egress)
    try:
        await box.check()
    except LoopwrightError:
        await box.close()
        raise
    return box


def accept_command(name: str, found: Surface | None) -> str:
    """What a person types to accept exactly what they were shown, and nothing that came after."""
    return f"loopwright mcp pin {name}" + (f" --expect {surface_digest(found)}" if found is not None else "")


def _pin_digest(pin: Pin) -> str:
    return digest_of(canonical([pin.package.sha256, pin.tools_sha256]))
