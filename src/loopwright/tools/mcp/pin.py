"""Looking at a server and accepting it: what `loopwright mcp pin` and `loopwright mcp diff` do."""

from dataclasses import dataclass
from pathlib import Path

from loopwright.errors import UsageError
from loopwright.policy.policy import McpServer
from loopwright.sandbox.protocol import Sandbox
from loopwright.tools.mcp.client import connected
from loopwright.tools.mcp.lock import Pin, read_pins, write_pins
from loopwright.tools.mcp.package import package_of
from loopwright.tools.mcp.process import Egress, Launch, started
from loopwright.tools.mcp.specs import Refusal, specs_of
from loopwright.tools.mcp.surface import Surface, difference
from loopwright.tools.mcp.toolbox import accept_command

__all__ = ["ServerDifference", "observed", "pin_server", "server_difference"]

_NOTHING = Surface("{}", ())


@dataclass(frozen=True, slots=True)
class ServerDifference:
    """`surface` is a diff that is safe on a terminal, of everything when there was no pin. `package` says what changed in the files.
    `accept` is the command that accepts exactly this. `refusals`: tools that stay uncallable, and what to write to change that."""

    surface: str
    package: str
    accept: str
    refusals: tuple[Refusal, ...]

    @property
    def same(self) -> bool:
        return not self.surface and not self.package


async def observed(server: McpServer, *, sandbox: Sandbox, launch: Launch, egress: Egress | None = None) -> Pin:
    """What the server is and says now. It is started in the sandbox and asked for its lists; no tool of it is called.

    Raises: `SandboxError`, `ActionError`, `UsageError` as `open_toolbox`.
    """
    package = package_of(launch.argv)
    if server.package and (package.name, package.version) != (server.package, server.version or package.version):
        raise UsageError(
            f"MCP server {server.name!r}: expected package {server.package!r} {server.version or '(any version)'}, found "
            f"{package.name or 'no package'!r} {package.version} behind {launch.argv[0]!r}; install that one or change the policy"
        )
    client = await connected(await started(sandbox, launch, egress), launch.start_timeout_s)
    try:
        return Pin(server.name, package, await client.surface(launch.start_timeout_s))
    finally:
        await client.close()


async def server_difference(
    server: McpServer, lock: Path, *, sandbox: Sandbox, launch: Launch, egress: Egress | None = None
) -> ServerDifference:
    """How the server differs from its pin in `lock`. Raises: as `observed`."""
    now = await observed(server, sandbox=sandbox, launch=launch, egress=egress)
    return _difference(server, _pinned(lock, server.name), now)


async def pin_server(
    server: McpServer, lock: Path, *, sandbox: Sandbox, launch: Launch, egress: Egress | None = None, expect: str = ""
) -> ServerDifference:
    """Write what the server is now into `lock`; returns what that changed.

    `expect` is the `tools_sha256` that a person was shown; empty = whatever it is. Raises: `UsageError` when it is another by now,
    else as `observed`.
    """
    now = await observed(server, sandbox=sandbox, launch=launch, egress=egress)
    if expect and now.tools_sha256 != expect:
        raise UsageError(
            f"MCP server {server.name!r}: expected tools_sha256 {expect!r}, found {now.tools_sha256!r}: it changed again; look at "
            f"`loopwright mcp diff {server.name}`"
        )
    changed = _difference(server, _pinned(lock, server.name), now)
    others = [pin for pin in read_pins(lock) if pin.server != server.name]
    write_pins(lock, [*others, now])
    return changed


def _pinned(lock: Path, name: str) -> Pin | None:
    return next((pin for pin in read_pins(lock) if pin.server == name), None)


def _difference(server: McpServer, before: Pin | None, now: Pin) -> ServerDifference:
    package = ""
    if before is None or before.package != now.package:
        was = (
            "nothing"
            if before is None
            else f"{before.package.name or 'files'} {before.package.version} {before.package.sha256[:16]}"
        )
        package = f"{was} → {now.package.name or 'files'} {now.package.version} {now.package.sha256[:16]} ({now.package.files} files)"
    _, refusals = specs_of(server, now.surface, "")
    surface = difference(_NOTHING if before is None else before.surface, now.surface)
    return ServerDifference(surface, package, accept_command(server.name, now.surface), refusals)
