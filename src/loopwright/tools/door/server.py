"""The door itself: a unix socket for the programs of one action. It decides nothing; every call goes to the gate.

What connects is assumed hostile: lines are bounded, one call is in flight a connection, connections are few, and nothing is answered
before the token. Closing the door cancels what is in flight, and the gate settles it.
"""

import asyncio
import contextlib
import hmac
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from loopwright.errors import JournalError, SandboxError, UsageError
from loopwright.sandbox.protocol import Bind, Sandbox
from loopwright.tools.door.messages import (
    LINE_BYTES,
    PROTOCOL,
    ListLine,
    error_line,
    manifest_line,
    read_line,
    read_token,
    result_line,
)
from loopwright.tools.gate import Gate

__all__ = ["DOOR_PATH", "Door", "open_door"]

DOOR_PATH: Final = Path("/run/loopwright/door.sock")
"""Where the socket is inside a sandbox that has its own file system."""

CONNECTIONS: Final = 8
SOCKET_PATH_BYTES: Final = 100
"""A unix socket's path has at most 108 bytes on Linux, and fewer elsewhere."""


class Door:
    """An open door. `asks` are the asks that calls through it brought up: with any, the action should end and the run wait."""

    def __init__(self, gate: Gate, socket: Path, token: str, actor: str, action_id: str, *, bound: bool) -> None:
        self._gate = gate
        self._socket = socket
        self._token = token
        self._actor = actor
        self._action_id = action_id
        self._bound = bound
        self._tasks: set[asyncio.Task[None]] = set()
        self._asks: list[str] = []
        self._failure: JournalError | None = None

    @property
    def env(self) -> Mapping[str, str]:
        """For `ExecSpec.env`."""
        return {"LOOPWRIGHT_DOOR": str(self._target), "LOOPWRIGHT_DOOR_TOKEN": self._token}

    @property
    def binds(self) -> tuple[Bind, ...]:
        """For `ExecSpec.binds`; nothing where the sandbox shows the machine's own paths."""
        return (Bind(self._socket, DOOR_PATH),) if self._bound else ()

    @property
    def asks(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self._asks))

    @property
    def failure(self) -> JournalError | None:
        """What kept the gate from writing: the action must not be taken for done."""
        return self._failure

    @property
    def _target(self) -> Path:
        return DOOR_PATH if self._bound else self._socket

    def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A program has connected."""
        if len(self._tasks) >= CONNECTIONS:
            writer.write(error_line(f"at most {CONNECTIONS} connections at once; close one"))
            writer.close()
            return
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Cancel what is in flight and wait until it is settled."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(ConnectionError):
                await self._talk(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            first = await _read(reader)
            if first is None:
                return
            known = hmac.compare_digest(read_token(first).encode(), self._token.encode())
        except UsageError:
            known = False
        if not known:
            await _send(writer, error_line("the first line must be the token of this run; see LOOPWRIGHT_DOOR_TOKEN"))
            return
        await _send(writer, b'{"protocol":%d,"status":"ok"}\n' % PROTOCOL)
        while True:
            try:
                line = await _read(reader)
            except UsageError as error:
                # Where the next line begins cannot be told any more.
                await _send(writer, error_line(str(error)))
                return
            if line is None:
                return
            await _send(writer, await self._answer(line))

    async def _answer(self, line: bytes) -> bytes:
        try:
            request = read_line(line)
        except UsageError as error:
            return error_line(str(error))
        if isinstance(request, ListLine):
            return manifest_line(request.id, self._gate.manifest(self._actor))
        try:
            result = await self._gate.call(
                self._actor, request.tool, request.arguments, reason=request.reason, action_id=self._action_id
            )
        except JournalError as error:
            self._failure = error
            return error_line("the run's journal cannot be written; nothing is done any more", request.id)
        if result.ask_id is not None and result.status in ("asked", "unknown"):
            self._asks.append(result.ask_id)
        return result_line(request.id, result)


@asynccontextmanager
async def open_door(
    gate: Gate, sandbox: Sandbox, *, token: str, actor: str, action_id: str, folder: Path | None = None
) -> AsyncIterator[Door]:
    """A door for the programs of one action, open while the block runs; calls in flight at its end are cancelled and settled.

    `token` is a secret of this run that only its programs are given. `folder` (default: the system's temporary one) must have a short
    path. Raises: `SandboxError` when no socket can be made there.
    """
    try:
        private = Path(tempfile.mkdtemp(prefix="lw-door-", dir=folder))
    except OSError as error:
        raise SandboxError(
            f"no folder for the tool door can be made: {error}; make the temporary folder writable"
        ) from error
    try:
        path = private / "door.sock"
        if len(os.fsencode(path)) > SOCKET_PATH_BYTES:
            raise SandboxError(
                f"tool door {str(path)!r}: expected a path of at most {SOCKET_PATH_BYTES} bytes; set a shorter TMPDIR"
            )
        door = Door(gate, path, token, actor, action_id, bound=sandbox.isolated)
        server = await asyncio.start_unix_server(door.connected, path, limit=LINE_BYTES)
        try:
            # The folder is the fence: nobody but us and the sandbox's user gets to the socket, whose own mode lets anybody in the
            # sandbox speak, whatever user it runs as there.
            os.chmod(path, 0o666)  # noqa: S103
            if sandbox.uid != os.geteuid():
                os.chown(private, sandbox.uid, -1)
            yield door
        finally:
            server.close()
            await door.close()
            await server.wait_closed()
    finally:
        shutil.rmtree(private, ignore_errors=True)


async def _read(reader: asyncio.StreamReader) -> bytes | None:
    """The next line without its end, `None` at the end of the stream. Raises: `UsageError` for one that is too long."""
    try:
        line = await reader.readuntil(b"\n")
    except asyncio.IncompleteReadError:
        return None
    except asyncio.LimitOverrunError:
        raise UsageError(
            f"request: expected a line of at most {LINE_BYTES} bytes, found a longer one; send less at once"
        ) from None
    return line[:-1]


async def _send(writer: asyncio.StreamWriter, line: bytes) -> None:
    writer.write(line)
    await writer.drain()
