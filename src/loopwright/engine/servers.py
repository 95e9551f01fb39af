"""Where the MCP servers of a policy run: an empty folder of their own and what their command names; never the user's checkout."""

from pathlib import Path

from loopwright.engine.site import Site
from loopwright.policy.policy import Policy
from loopwright.tools.mcp.boxes import Surroundings

__all__ = ["surroundings"]


def surroundings(site: Site, policy: Policy, run_id: str, own: Path) -> Surroundings:
    """The same for `loopwright mcp pin` as for a run: what was pinned must be what is started. `own` is the empty folder."""
    from loopwright.secrets.broker import Broker

    named = {Path(word) for server in policy.mcp for word in server.command if word.startswith("/")}
    return Surroundings(
        sandbox=site.sandbox,
        broker=Broker(policy.secrets, site.env, site.redactor),
        cwd=own,
        run_id=run_id,
        path=site.isolation.setting.path,
        readable=tuple(sorted(path for path in named if path.exists())),
        writable=(own,),
    )
