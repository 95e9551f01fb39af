"""Where the MCP servers of a policy run: an empty folder of their own and what their command names; never the user's checkout."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from loopwright.engine.site import Site
from loopwright.policy.policy import McpServer

if TYPE_CHECKING:
    from loopwright.secrets.broker import Broker
    from loopwright.tools.mcp.boxes import Surroundings

__all__ = ["surroundings"]


def surroundings(site: Site, servers: Sequence[McpServer], run_id: str, own: Path, broker: "Broker") -> "Surroundings":
    """The same for `loopwright mcp pin` as for a run: what was pinned must be what is started. `own` is the empty folder."""
    from loopwright.tools.mcp.boxes import Surroundings

    named = {Path(word) for server in servers for word in server.command if word.startswith("/")}
    return Surroundings(
        sandbox=site.sandbox,
        broker=broker,
        cwd=own,
        run_id=run_id,
        path=site.isolation.setting.path,
        readable=tuple(sorted(path for path in named if path.exists())),
        writable=(own,),
    )
