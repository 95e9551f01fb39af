"""The one way out of a server's sandbox: an HTTP proxy that connects to exactly the hosts in its list and to nothing else.

What may be reached is `tools.egress.allow`'s rule: exact targets, one resolution, no address of this machine or its network but one
that stands in the list itself. What goes through a CONNECT tunnel is encrypted and cannot be looked into; what goes in the clear is.
"""

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, Protocol
from urllib.parse import urlsplit

from loopwright.errors import ActionError, LoopwrightError
from loopwright.secrets.errors import CanarySeen
from loopwright.secrets.target import BadTarget, Target, parse_target
from loopwright.tools.approvals.safe_text import shown
from loopwright.tools.egress.allow import EgressList, Resolver, resolve
from loopwright.tools.mcp.door import hand_over, peer_uid

__all__ = ["EgressProxy", "Watch"]

_HEAD_BYTES = 64 << 10
_HEAD_TIMEOUT_S = 10.0
_CONNECT_TIMEOUT_S = 20.0
_CHUNK_BYTES = 1 << 16
_CONNECTIONS = 64
_REFUSED = 20


class Watch(Protocol):
    """Looks at what leaves. Raises: `CanarySeen`, `SecretRefused`; then nothing of `data` is sent. See `secrets.broker`."""

    def feed(self, data: bytes) -> None: ...


class EgressProxy:
    """Made by `open`, ended by `close`. `sent_bytes` counts what went to the listed hosts, `refused` who else was asked for; `alarm` is
    the decoy that was about to leave, for which the run must end. `uid` is who may connect; `watch` makes a look-out for one connection."""

    def __init__(
        self,
        server_name: str,
        hosts: Sequence[str],
        uid: int,
        *,
        watch: Callable[[str], Watch] | None = None,
        resolver: Resolver = resolve,
    ) -> None:
        """Raises: `UsageError` for an entry that is no exact host."""
        self._server_name = server_name
        self._allowed = EgressList.of(hosts)
        self._watch = watch
        self._resolver = resolver
        self.alarm: CanarySeen | None = None
        self._uid = uid
        self._folder = Path(tempfile.gettempdir())
        self._listener: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._refused: dict[str, None] = {}
        self._sent_bytes = 0

    @property
    def socket(self) -> Path:
        return self._folder / "egress"

    @property
    def sent_bytes(self) -> int:
        return self._sent_bytes

    @property
    def refused(self) -> tuple[str, ...]:
        return tuple(self._refused)

    async def open(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="lw-out-"))
        self._folder.chmod(0o711)
        self._listener = await asyncio.start_unix_server(self._accept, path=self.socket, limit=_HEAD_BYTES)
        hand_over(self.socket, self._uid)

    async def close(self) -> None:
        if self._listener is not None:
            self._listener.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._listener is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if peer_uid(writer) != self._uid or len(self._tasks) >= _CONNECTIONS:
            writer.transport.abort()
            return
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far: asyncio.StreamWriter | None = None
        try:
            async with asyncio.timeout(_HEAD_TIMEOUT_S):
                head = await reader.readuntil(b"\r\n\r\n")
            target, scheme, first = _request(head)
            watch = self._watch(f"connection to {target}") if self._watch is not None and scheme == "http" else None
            self._allowed.check(scheme, target)
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                addresses = await self._allowed.pinned(target, self._resolver)
                back, far = await asyncio.open_connection(addresses[0], target.port)
            if first:
                await self._send(far, first, watch)
            else:
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await asyncio.gather(self._up(reader, far, watch), _copy(back, writer))
        except LoopwrightError as error:
            body = self._noted(error).encode("ascii", "backslashreplace")
            writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nConnection: close\r\n")
            writer.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
            with contextlib.suppress(OSError):
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            for each in (writer, far):
                if each is not None:
                    each.close()

    def _noted(self, error: LoopwrightError) -> str:
        if isinstance(error, CanarySeen):
            self.alarm = error
        line = f"egress of MCP server {self._server_name!r} refused: {shown(str(error))}"
        if len(self._refused) < _REFUSED:
            self._refused[line] = None
        return line

    async def _up(self, source: asyncio.StreamReader, far: asyncio.StreamWriter, watch: Watch | None) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(_CHUNK_BYTES):
                await self._send(far, data, watch)
            far.write_eof()

    async def _send(self, far: asyncio.StreamWriter, data: bytes, watch: Watch | None) -> None:
        if watch is not None:
            watch.feed(data)
        self._sent_bytes += len(data)
        far.write(data)
        await far.drain()


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(_CHUNK_BYTES):
            target.write(data)
            await target.drain()
        target.write_eof()


def _request(head: bytes) -> tuple[Target, Literal["http", "https"], bytes]:
    """Where a request wants to go, and the head to send there: empty for CONNECT. Raises: `ActionError` for anything else.

    The head is written anew: one `Host`, that of the request line, and one request on a connection, since only the first is looked at.
    """
    lines = head.decode("latin-1").split("\r\n")
    method, _, rest = lines[0].partition(" ")
    target, _, version = rest.partition(" ")
    try:
        if method == "CONNECT":
            return parse_target(target), "https", b""
        parts = urlsplit(target)
        if parts.scheme != "http" or not version.startswith("HTTP/1.") or not method.isalpha():
            raise BadTarget("is no absolute http address")
        # Some servers take a bare line feed, or a line that begins with a space, for a header of its own: a second `Host`.
        if any("\n" in line or "\r" in line or line[:1] in (" ", "\t") for line in lines):
            raise BadTarget("has a line that readers split differently")
        goal = parse_target(parts.netloc, 80)
    except ValueError as error:
        raise ActionError(
            f"request {lines[0]!a}: expected CONNECT host:port or an absolute http:// one, found that it {error}"
        ) from None
    dropped = ("host:", "connection:", "proxy-connection:", "proxy-authorization:", "upgrade:")
    kept = [line for line in lines[1:] if line and not line.lower().startswith(dropped)]
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    fresh = [f"{method} {path} HTTP/1.1", f"Host: {parts.netloc}", "Connection: close", *kept]
    return goal, "http", "\r\n".join(fresh).encode("latin-1") + b"\r\n\r\n"
