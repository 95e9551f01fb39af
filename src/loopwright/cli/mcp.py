"""The MCP verbs: which servers the policy names, what each is now against its pin, and accepting it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from loopwright.cli.options import Directory, Json, Unsandboxed

if TYPE_CHECKING:
    from loopwright.tools.mcp.pin import ServerDifference

__all__ = ["register"]

REFUSED = 6
ServerName = Annotated[str, typer.Argument(metavar="NAME", help="As in the policy file: [mcp.NAME].")]


def register(app: typer.Typer) -> None:
    mcp = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The MCP servers of the policy file.")
    mcp.command("list")(list_servers)
    mcp.command("pin")(pin)
    mcp.command("diff")(diff)
    app.add_typer(mcp, name="mcp")


def list_servers(directory: Directory = Path(), as_json: Json = False) -> None:
    """The servers of the policy file and how they stand against their pins; none is started."""
    import os

    from loopwright.cli.console import emit, say
    from loopwright.engine.boundary import POLICY_FILE, read_policy
    from loopwright.engine.granted import server_standings
    from loopwright.engine.site import open_site
    from loopwright.policy.policy import Policy
    from loopwright.tools.approvals.safe_text import shown

    site = open_site(directory, os.environ)
    found = server_standings(site, read_policy(site.repository.root) or Policy())
    if as_json:
        emit({"servers": found, "exit_code": 0, "stop_reason": "shown"})
        return
    if not found:
        say(f"no server: write [mcp.NAME] into {POLICY_FILE}")
    for server in found:
        say(f"{shown(server.name)}  {'pinned ' + server.tools_sha256[:12] if server.pinned else 'NOT PINNED'}")
        say(f"  command  {shown(' '.join(server.command))}")
        say(f"  reaches  {shown(', '.join(server.hosts)) or 'no network'}")
        if server.problem:
            say(f"  PROBLEM  {shown(server.problem)}")
        for name in server.tools:
            say(f"  tool     {shown(name)}")
        for line in server.refused:
            say(f"  refused  {shown(line)}")


def pin(
    name: ServerName,
    expect: Annotated[
        str, typer.Option("--expect", metavar="SHA256", help="Accept only what `mcp diff` showed with this hash.")
    ] = "",
    directory: Directory = Path(),
    unsandboxed: Unsandboxed = False,
    as_json: Json = False,
) -> None:
    """Look at a server in the sandbox and accept it as it is now; writes loops/mcp.lock."""
    from loopwright.cli.console import emit, say
    from loopwright.engine.boundary import LOCK_FILE

    found = _look(name, directory, unsandboxed=unsandboxed, write=True, expect=expect)
    if as_json:
        emit({"server": name, "changed": not found.same, "difference": found, "exit_code": 0, "stop_reason": "pinned"})
        return
    _tell(found)
    say(f"pinned {name} in {LOCK_FILE}: commit it" if not found.same else f"{name} is what was pinned")


def diff(
    name: ServerName, directory: Directory = Path(), unsandboxed: Unsandboxed = False, as_json: Json = False
) -> None:
    """What a server is and says now against its pin; exit 6 when it differs, since it is then quarantined."""
    from loopwright.cli.console import emit, say

    found = _look(name, directory, unsandboxed=unsandboxed, write=False, expect="")
    code = 0 if found.same else REFUSED
    if as_json:
        reason = "unchanged" if found.same else "refused"
        emit({"server": name, "changed": not found.same, "difference": found, "exit_code": code, "stop_reason": reason})
    else:
        _tell(found)
        say(f"{name} is what was pinned" if found.same else f"to accept exactly this: {found.accept}")
    raise typer.Exit(code)


def _look(name: str, directory: Path, *, unsandboxed: bool, write: bool, expect: str) -> "ServerDifference":
    import asyncio
    import os
    import tempfile

    from loopwright.engine.boundary import LOCK_FILE, POLICY_FILE, read_policy
    from loopwright.engine.servers import surroundings
    from loopwright.engine.site import new_run_id, open_site, prove_isolation
    from loopwright.errors import UsageError
    from loopwright.policy.policy import Policy
    from loopwright.secrets.broker import Broker
    from loopwright.tools.mcp import boxes

    site = open_site(directory, os.environ, unsandboxed=unsandboxed)
    policy = read_policy(site.repository.root) or Policy()
    server = next((server for server in policy.mcp if server.name == name), None)
    if server is None:
        known = ", ".join(server.name for server in policy.mcp) or "none"
        raise UsageError(
            f"MCP server {name!r}: expected one of {POLICY_FILE}, found no [mcp.{name}]; there are: {known}"
        )
    prove_isolation(site)
    lock = site.repository.root / LOCK_FILE
    with tempfile.TemporaryDirectory(prefix="lw-mcp-") as own:
        broker = Broker(policy.secrets, site.env, site.redactor)
        around = surroundings(site, policy.mcp, f"mcp-{new_run_id()}", Path(own), broker)
        try:
            if write:
                lock.parent.mkdir(exist_ok=True)
                return asyncio.run(boxes.pin(server, lock, around, expect))
            return asyncio.run(boxes.diff(server, lock, around))
        finally:
            site.sandbox.kill_orphans(around.run_id)
            site.sandbox.close()


def _tell(found: "ServerDifference") -> None:
    from loopwright.cli.console import say
    from loopwright.tools.approvals.safe_text import shown

    if found.package:
        say(f"package  {shown(found.package)}")
    for line in found.surface.splitlines():
        say(line)
    for refusal in found.refusals:
        say(f"refused  {shown(refusal.tool)}: {shown(refusal.why)}; {shown(refusal.remedy)}")
