"""All servers of a policy for one run, and the same surroundings for `loopwright mcp pin` and `diff`."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from loopwright.errors import LoopwrightError
from loopwright.policy.policy import McpServer
from loopwright.sandbox.protocol import Overlay, Sandbox
from loopwright.secrets.broker import Broker
from loopwright.tools.mcp.egress import WayOut
from loopwright.tools.mcp.lock import read_pins
from loopwright.tools.mcp.package import resolved
from loopwright.tools.mcp.pin import ServerDifference, pin_server, server_difference
from loopwright.tools.mcp.process import Launch
from loopwright.tools.mcp.toolbox import McpToolbox, open_toolbox

__all__ = ["Surroundings", "diff", "open_boxes", "pin"]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where servers run. `path` is PATH for a command without a `/`; `readable` and `writable` are what all of them see of this
    machine besides `cwd` (read-only) and the programs themselves; `run_id` marks their processes."""

    sandbox: Sandbox
    broker: Broker
    cwd: Path
    run_id: str
    path: str
    readable: tuple[Path, ...] = ()
    writable: tuple[Path, ...] = ()
    overlays: tuple[Overlay, ...] = ()
    start_timeout_s: float = 60.0

    def launch(self, server: McpServer) -> Launch:
        """Raises: `UsageError` for a command that is not there or fetches what it runs."""
        return Launch(
            argv=resolved(server.command, self.path),
            cwd=self.cwd,
            action_id=f"{self.run_id}/mcp-{server.name}",
            readable=self.readable,
            writable=self.writable,
            overlays=self.overlays,
            start_timeout_s=self.start_timeout_s,
        )

    @asynccontextmanager
    async def way_out(self, server: McpServer) -> AsyncIterator[WayOut | None]:
        if not server.hosts:
            yield None
            return
        way = WayOut(server.hosts, self.broker, self.sandbox.uid)
        await way.open()
        try:
            yield way
        finally:
            await way.close()


async def open_boxes(servers: Sequence[McpServer], lock: Path, around: Surroundings) -> tuple[McpToolbox, ...]:
    """One toolbox a server, in the order given; the caller closes each, and that ends its server and its way out.

    A server that cannot be started or does not speak MCP is quarantined with the reason: it takes its own tools from the run and
    nothing else. Raises: `UsageError` for a lock file that cannot be used.
    """
    pins = {found.server: found for found in read_pins(lock)}
    boxes: list[McpToolbox] = []
    try:
        for server in servers:
            known = pins.get(server.name)
            way = WayOut(server.hosts, around.broker, around.sandbox.uid) if server.hosts else None
            try:
                if way is not None:
                    await way.open()
                launch = around.launch(server)
                box = await open_toolbox(server, known, sandbox=around.sandbox, launch=launch, egress=way)
            except LoopwrightError as error:
                box = McpToolbox(server, known, None, way)
                box.quarantine(f"it could not be opened: {error}")
            boxes.append(box)
            if way is not None:
                box.on_close(way.close)
    except BaseException:
        for box in boxes:
            await box.close()
        raise
    return tuple(boxes)


async def pin(server: McpServer, lock: Path, around: Surroundings, expect: str = "") -> ServerDifference:
    """What `loopwright mcp pin NAME [--expect SHA256]` does; see `pin_server`."""
    async with around.way_out(server) as way:
        launch = around.launch(server)
        return await pin_server(server, lock, sandbox=around.sandbox, launch=launch, egress=way, expect=expect)


async def diff(server: McpServer, lock: Path, around: Surroundings) -> ServerDifference:
    """What `loopwright mcp diff NAME` does; see `server_difference`."""
    async with around.way_out(server) as way:
        launch = around.launch(server)
        return await server_difference(server, lock, sandbox=around.sandbox, launch=launch, egress=way)
