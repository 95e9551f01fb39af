"""The one way out of a server's sandbox: an HTTP proxy that connects to exactly the hosts in its list and to nothing else.

An entry is `name` (port 443) or `name:port`. A name is resolved once and must lead to public addresses, so that a name cannot be
turned towards this machine or its network (DNS rebinding); an address is allowed only as the very address that stands in the list.
What goes through a CONNECT tunnel is encrypted and not looked into: a listed host that forwards is a listed way to where it forwards.
"""

import asyncio
import contextlib
import ipaddress
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

from loopwright.errors import ActionError, UsageError
from loopwright.tools.approvals.safe_text import shown
from loopwright.tools.mcp.door import hand_over, peer_uid

__all__ = ["EgressProxy", "place_of"]

_HEAD_BYTES = 64 << 10
_HEAD_TIMEOUT_S = 10.0
_CONNECT_TIMEOUT_S = 20.0
_CHUNK_BYTES = 1 << 16
_CONNECTIONS = 64
_REFUSED = 20


def place_of(text: str, default_port: int = 443) -> tuple[str, int]:
    """Host (lower case, no brackets, no final dot) and port of `host`, `host:port` or `[v6]:port`. Raises: `UsageError`."""
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or parts.path or parts.query or parts.fragment or "@" in text or host.startswith("*"):
        raise UsageError(
            f"host {text!a}: expected an exact name or address, with a port or without; write it like 'api.example.org:443'"
        )
    return host.rstrip(".").lower(), default_port if port is None else port


class EgressProxy:
    """Made by `open`, ended by `close`. `sent_bytes` counts what went to the listed hosts, `refused` who else was asked for."""

    def __init__(self, server_name: str, hosts: Iterable[str], uid: int) -> None:
        """Raises: `UsageError` for an entry that is no exact host."""
        self._server_name = server_name
        self._places = frozenset(place_of(host) for host in hosts)
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
            host, port, first = _request(head)
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                back, far = await self._connect(host, port)
            if first:
                self._sent_bytes += len(first)
                far.write(first)
            else:
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await asyncio.gather(self._copy(reader, far, counted=True), self._copy(back, writer, counted=False))
        except ActionError as error:
            body = str(error).encode()
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

    async def _connect(self, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if (host, port) not in self._places:
            self._refuse(
                host,
                port,
                f'it is not in the list; to allow it: [mcp.{self._server_name}] hosts = ["{shown(host)}:{port}"]',
            )
        literal = _address(host)
        addresses = [host]
        if literal is None:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=1)
            addresses = [str(entry[4][0]) for entry in found]
            inward = [a for a in addresses if (parsed := _address(a)) is None or not parsed.is_global]
            if inward:
                self._refuse(
                    host,
                    port,
                    f"the name leads to {inward[0]!r}, which is no public address; if it is meant, list that address",
                )
        return await asyncio.open_connection(addresses[0], port)

    def _refuse(self, host: str, port: int, why: str) -> None:
        line = f"egress of MCP server {self._server_name!r} to {shown(host)}:{port} refused: {why}"
        if len(self._refused) < _REFUSED:
            self._refused[line] = None
        raise ActionError(line)

    async def _copy(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, counted: bool) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(_CHUNK_BYTES):
                if counted:
                    self._sent_bytes += len(data)
                target.write(data)
                await target.drain()
            if target.can_write_eof():
                target.write_eof()


def _request(head: bytes) -> tuple[str, int, bytes]:
    """Where a request wants to go, and the head to send there: empty for CONNECT. Raises: `ActionError` for anything else.

    The head is written anew: one `Host`, that of the request line, and one request on a connection, since only the first is looked at.
    """
    lines = head.decode("latin-1").split("\r\n")
    method, _, rest = lines[0].partition(" ")
    target, _, version = rest.partition(" ")
    try:
        if method == "CONNECT":
            return (*place_of(target), b"")
        parts = urlsplit(target)
        if parts.scheme != "http" or not version.startswith("HTTP/1.") or not method.isalpha():
            raise UsageError("no absolute http address")
        host, port = place_of(parts.netloc, 80)
    except UsageError:
        raise ActionError("egress: expected CONNECT host:port or an absolute http:// request") from None
    dropped = ("host:", "connection:", "proxy-connection:", "proxy-authorization:", "upgrade:")
    kept = [line for line in lines[1:] if line and not line.lower().startswith(dropped)]
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    fresh = [f"{method} {path} HTTP/1.1", f"Host: {parts.netloc}", "Connection: close", *kept]
    return host, port, "\r\n".join(fresh).encode("latin-1") + b"\r\n\r\n"


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
