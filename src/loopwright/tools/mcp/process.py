"""A server as a long-lived process in the sandbox, spoken to over a unix socket that is bound into it.

`Sandbox.run` knows only commands that end; so one is started as a task that lasts as long as the connection, with a bridge as its
argv that makes the socket the server's stdio. That works the same in every backend, and the backend's own end of a call (nothing of
the tree survives) is the end of the server.
"""

import asyncio
import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from loopwright.errors import LoopwrightError, SandboxError
from loopwright.sandbox.protocol import Bind, ExecResult, ExecSpec, Limits, Overlay, Sandbox
from loopwright.tools.approvals.safe_text import shown
from loopwright.tools.mcp.door import hand_over, peer_uid

__all__ = ["Egress", "Launch", "ServerProcess", "started"]

_STDERR_BYTES = 64 << 10


class Egress(Protocol):
    """The only way out of a server: an HTTP proxy (CONNECT and plain) on a unix socket, held to the server's own list of hosts."""

    @property
    def socket(self) -> Path: ...

    @property
    def sent_bytes(self) -> int:
        """What left this machine through it so far."""
        ...

    @property
    def refused(self) -> tuple[str, ...]:
        """One line for each place that was asked for and is not in the list, oldest first, each once."""
        ...

    @property
    def alarm(self) -> LoopwrightError | None:
        """Why the run must end: a decoy was about to leave."""
        ...


@dataclass(frozen=True, slots=True)
class Launch:
    """How a server is run. `lifetime_s` is the longest that it lives; `line_bytes` the longest message that it may send."""

    argv: tuple[str, ...]
    cwd: Path
    action_id: str
    env: Mapping[str, str] = field(default_factory=dict)
    readable: tuple[Path, ...] = ()
    writable: tuple[Path, ...] = ()
    overlays: tuple[Overlay, ...] = ()
    limits: Limits = Limits(output_bytes=_STDERR_BYTES)
    start_timeout_s: float = 30.0
    lifetime_s: float = 86_400.0
    line_bytes: int = 4 << 20


class ServerProcess:
    """A running server. `reader` and `writer` are its stdio; `close` ends it, however it feels about that."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        run: "asyncio.Task[ExecResult]",
        folder: Path,
    ) -> None:
        self.reader = reader
        self.writer = writer
        self._run = run
        self._folder = folder

    async def close(self) -> None:
        """No process of the server is alive afterwards. Raises: `SandboxError` when the backend cannot end it."""
        self.writer.transport.abort()
        self._run.cancel()
        try:
            with contextlib.suppress(asyncio.CancelledError):
                await self._run
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    async def obituary(self, patience_s: float = 2.0) -> str:
        """How it ended, on one line; `still running` when it did not within `patience_s`."""
        await asyncio.wait({self._run}, timeout=patience_s)
        return _obituary(self._run)


async def started(sandbox: Sandbox, launch: Launch, egress: Egress | None) -> ServerProcess:
    """The server, connected but not spoken to yet.

    Raises: `SandboxError` when it does not start, or does not take the socket within `launch.start_timeout_s`.
    """
    folder = Path(tempfile.mkdtemp(prefix="lw-mcp-"))
    # Others may pass through to the socket, which is the sandbox user's alone, and may not list what is here.
    os.chmod(folder, 0o711)  # noqa: S103
    run: asyncio.Task[ExecResult] | None = None
    try:
        connected: asyncio.Future[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = (
            asyncio.get_running_loop().create_future()
        )
        server = await _listening(folder / "client", sandbox.uid, launch.line_bytes, connected)
        try:
            run = asyncio.create_task(sandbox.run(_spec(launch, folder, egress)))
            waited: set[asyncio.Future[Any]] = {run, connected}
            await asyncio.wait(waited, timeout=launch.start_timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            server.close()
        if not connected.done():
            raise SandboxError(
                f"MCP server {launch.argv[0]!r} did not start within {launch.start_timeout_s:g} s: {_obituary(run)}; "
                f"expected a program that speaks MCP over stdio, run it by hand to see"
            )
        return ServerProcess(*connected.result(), run, folder)
    except BaseException:
        if run is not None:
            run.cancel()
            await asyncio.wait({run})
        shutil.rmtree(folder, ignore_errors=True)
        raise


async def _listening(
    path: Path,
    uid: int,
    line_bytes: int,
    connected: "asyncio.Future[tuple[asyncio.StreamReader, asyncio.StreamWriter]]",
) -> asyncio.Server:
    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Only the sandbox's own user is the server, and only once: a second one would be somebody in between.
        if connected.done() or peer_uid(writer) != uid:
            writer.transport.abort()
        else:
            path.unlink(missing_ok=True)
            connected.set_result((reader, writer))

    server = await asyncio.start_unix_server(accept, path=path, limit=line_bytes, backlog=4)
    hand_over(path, uid)
    return server


def _spec(launch: Launch, folder: Path, egress: Egress | None) -> ExecSpec:
    bridge = folder / "bridge.py"
    shutil.copyfile(Path(__file__).with_name("bridge.py"), bridge)
    bridge.chmod(0o644)
    binds = [Bind(folder, folder)]
    if egress is not None:
        binds.append(Bind(egress.socket, egress.socket))
    # The interpreter itself, not an environment's link to it: what is installed there has no part in the bridge.
    python = Path(sys.executable).resolve()
    way_out = "-" if egress is None else str(egress.socket)
    return ExecSpec(
        argv=(str(python), "-I", "-S", str(bridge), str(folder / "client"), way_out, "--", *launch.argv),
        cwd=launch.cwd,
        timeout_s=launch.lifetime_s,
        action_id=launch.action_id,
        env=launch.env,
        writable=launch.writable,
        readable=(*launch.readable, *_visible(python, Path(launch.argv[0]))),
        binds=tuple(binds),
        overlays=launch.overlays,
        limits=launch.limits,
    )


def _visible(python: Path, program: Path) -> tuple[Path, ...]:
    """What the bridge and the server are installed in."""
    from loopwright.sandbox.visible import visible_folders

    prefixes = [python.parent.parent]
    if program.is_absolute():
        prefixes.append(program.parent.parent if (program.parent.parent / "pyvenv.cfg").is_file() else program.parent)
    return visible_folders(path="", prefixes=prefixes, home=None, root=Path("/nonexistent"))


def _obituary(run: "asyncio.Task[ExecResult]") -> str:
    if not run.done():
        return "still running"
    if run.cancelled():
        return "ended by us"
    error = run.exception()
    if error is not None:
        return shown(str(error))
    result = run.result()
    how = f"exit code {result.returncode}" if result.status == "exited" else result.status.replace("_", " ")
    last = result.stderr.decode("utf-8", "replace").strip().rsplit("\n", 1)[-1]
    return f"{how}{': ' + shown(last) if last else ''}"
