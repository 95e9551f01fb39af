"""A forward proxy for programs in the sandbox: CONNECT to exactly the granted hosts, and nothing else.

Nothing is decrypted. A tunnel must begin with TLS for the very host that was asked for, so it cannot carry another protocol or ask
another host at the same address; what is inside it is not seen. Plain HTTP (to granted loopback addresses) is scanned as it passes.
"""

import asyncio
import contextlib
import hmac
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from loopwright.secrets.broker import Broker, EgressWatch
from loopwright.secrets.errors import CanarySeen, SecretRefused, SecretUnavailable
from loopwright.secrets.target import Target
from loopwright.tools.egress.allow import EgressList, Resolver, resolve
from loopwright.tools.egress.errors import EgressRefused
from loopwright.tools.egress.hello import NotTls, hello_length, server_name
from loopwright.tools.egress.request import HEAD_MAX_BYTES, ProxyRequest, parse_head

__all__ = ["Counters", "EgressProxy"]

_CHUNK_BYTES: Final = 64 << 10
_CONNECT_TIMEOUT_S: Final = 10.0
_HEAD_TIMEOUT_S: Final = 10.0
_PARTING_TIMEOUT_S: Final = 2.0
_PARTING_BYTES: Final = 1 << 20


@dataclass(slots=True)
class Counters:
    """Since the proxy was made. Bytes are of what passed, heads included, in both directions; `refused` is in requests."""

    requests: int = 0
    refused: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0


class EgressProxy:
    """One for a sandbox. `token` must be given by clients as a proxy password when it is set.

    `on_canary` is called when a decoy was about to leave (it was not sent): the run must end. `sent_limit_bytes` is of all requests
    together, `None` = not limited; `connections` at the same time.
    """

    def __init__(
        self,
        allowed: EgressList,
        broker: Broker,
        on_canary: Callable[[CanarySeen], None],
        *,
        resolver: Resolver = resolve,
        token: str | None = None,
        sent_limit_bytes: int | None = None,
        connections: int = 64,
        head_timeout_s: float = _HEAD_TIMEOUT_S,
    ) -> None:
        self._allowed = allowed
        self._broker = broker
        self._on_canary = on_canary
        self._resolver = resolver
        self._token = token
        self._sent_limit_bytes = sent_limit_bytes
        self._room = connections
        self._head_timeout_s = head_timeout_s
        self._talks: set[asyncio.Task[None]] = set()
        self._servers: list[asyncio.Server] = []
        self._paths: list[Path] = []
        self.counters = Counters()

    async def serve_unix(self, path: Path, uid: int | None = None) -> None:
        """Listen at a socket that only `uid` can open (`None` = our own user). Raises: `OSError`, when something is there already."""
        listener = socket.socket(socket.AF_UNIX)
        try:
            listener.bind(str(path))
            self._paths.append(path)
            # Nobody can connect before it listens, so there is no moment in which others could.
            os.chmod(path, 0o600)
            if uid is not None and uid != os.geteuid():
                os.chown(path, uid, -1)
            await self.serve_socket(listener)
        except BaseException:
            listener.close()
            raise

    async def serve_socket(self, listener: socket.socket) -> None:
        """Listen at a bound socket, one that was made inside a sandbox's network for instance. It is closed with the proxy."""
        listener.listen()
        if listener.family == socket.AF_UNIX:
            self._servers.append(await asyncio.start_unix_server(self._accept, sock=listener, limit=HEAD_MAX_BYTES))
        else:
            self._servers.append(await asyncio.start_server(self._accept, sock=listener, limit=HEAD_MAX_BYTES))

    async def close(self) -> None:
        """End every connection; nothing of them is left on return."""
        for server in self._servers:
            server.close()
        talks = list(self._talks)
        for talk in talks:
            talk.cancel()
        await asyncio.gather(*talks, return_exceptions=True)
        for path in self._paths:
            path.unlink(missing_ok=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = asyncio.current_task()
        assert talk is not None
        self._talks.add(talk)
        try:
            if len(self._talks) > self._room:
                await _say(writer, 503, "too many connections [egress.connections]; close some")
            else:
                await self._talk(reader, writer)
            await _parted(reader, writer)
        except asyncio.CancelledError:
            # Only `close` cancels, and it waits for nothing but the end.
            pass
        finally:
            self._talks.discard(talk)
            writer.transport.abort()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.counters.requests += 1
        try:
            async with asyncio.timeout(self._head_timeout_s):
                request = parse_head(await reader.readuntil(b"\r\n\r\n"))
            if self._token is not None and not hmac.compare_digest(
                (request.token or "").encode(), self._token.encode()
            ):
                self.counters.refused += 1
                await _say(
                    writer,
                    407,
                    "expected this sandbox's token as the proxy password [egress.token]; use HTTPS_PROXY as it is set",
                )
                return
            self._allowed.check(request.url.scheme, request.url.target)
            await (self._tunnel if request.tunnel else self._forward)(request, reader, writer)
        except EgressRefused as error:
            self.counters.refused += error.rule != "egress.bytes"  # counted where it happened
            await _say(writer, 403, str(error))
        except (SecretRefused, SecretUnavailable) as error:
            self.counters.refused += 1
            await _say(writer, 403, str(error))
        except CanarySeen as seen:
            self.counters.refused += 1
            self._on_canary(seen)
            await _say(writer, 403, str(seen))
        except asyncio.LimitOverrunError:
            self.counters.refused += 1
            await _say(writer, 431, f"expected a head of at most {HEAD_MAX_BYTES} bytes [egress.request]; shorten it")
        except TimeoutError:
            await _say(writer, 408, "expected a whole request head in time [egress.request]; try again")
        except (asyncio.IncompleteReadError, OSError) as error:
            await _say(writer, 502, f"the connection failed ({type(error).__name__}) [egress.connect]; is the host up?")

    # --- the two ways ----------------------------------------------------------------------------------------------------------
    async def _tunnel(self, request: ProxyRequest, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await self._connect(request.url.target)
        try:
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await writer.drain()
            # From here on there is no way to say anything: what is wrong ends the connection.
            try:
                async with asyncio.timeout(self._head_timeout_s):
                    head = await reader.readexactly(5)
                    hello = head + await reader.readexactly(hello_length(head) - 5)
                name = server_name(hello)
            except (NotTls, TimeoutError, asyncio.IncompleteReadError):
                self.counters.refused += 1
                return
            target = request.url.target
            if (name or "").lower() != ("" if target.address else target.host):
                self.counters.refused += 1
                return
            with contextlib.suppress(EgressRefused):
                await self._pump(hello, reader, writer, up_reader, up_writer, None)
        finally:
            up_writer.transport.abort()

    async def _forward(self, request: ProxyRequest, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Off the loop: a declared canary may have to be fetched, and looking at a piece takes a while.
        watch = await asyncio.to_thread(self._broker.stream_scan, "request through the proxy")
        await asyncio.to_thread(watch.feed, request.head)
        up_reader, up_writer = await self._connect(request.url.target)
        try:
            await self._pump(request.head, reader, writer, up_reader, up_writer, watch)
        finally:
            up_writer.transport.abort()

    async def _connect(self, target: Target) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        async with asyncio.timeout(_CONNECT_TIMEOUT_S):
            addresses = await self._allowed.pinned(target, self._resolver)
        failure: OSError = OSError("no address")
        for address in addresses:
            try:
                async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                    return await asyncio.open_connection(address, target.port)
            except OSError as error:
                failure = error
        raise failure

    async def _pump(
        self,
        first: bytes,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        up_reader: asyncio.StreamReader,
        up_writer: asyncio.StreamWriter,
        watch: EgressWatch | None,
    ) -> None:
        """Both directions until the host is done. Raises: what `_up` does; then nothing more passes."""
        answering = asyncio.ensure_future(self._down(up_reader, writer))
        sending = asyncio.ensure_future(self._up(first, reader, up_writer, watch))
        try:
            await asyncio.wait((answering, sending), return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
            await answering
        finally:
            for task in (answering, sending):
                task.cancel()
            await asyncio.gather(answering, sending, return_exceptions=True)

    async def _up(
        self, data: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, watch: EgressWatch | None
    ) -> None:
        while data:
            self._count_sent(len(data))
            writer.write(data)
            await writer.drain()
            data = await reader.read(_CHUNK_BYTES)
            if watch is not None and data:
                await asyncio.to_thread(watch.feed, data)
        with contextlib.suppress(OSError):
            writer.write_eof()

    async def _down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_CHUNK_BYTES):
            self.counters.received_bytes += len(data)
            writer.write(data)
            await writer.drain()

    def _count_sent(self, count: int) -> None:
        limit = self._sent_limit_bytes
        if limit is not None and self.counters.sent_bytes + count > limit:
            self.counters.refused += 1
            raise EgressRefused(
                "egress.bytes", f"more than {limit} bytes would have left", "raise bytes_out of the budget"
            )
        self.counters.sent_bytes += count


async def _say(writer: asyncio.StreamWriter, status: int, text: str) -> None:
    body = f"loopwright: {text}\n".encode()
    words = {403: "Forbidden", 407: "Proxy Authentication Required", 408: "Request Timeout"}.get(status, "Refused")
    extra = 'Proxy-Authenticate: Basic realm="loopwright"\r\n' if status == 407 else ""
    head = (
        f"HTTP/1.1 {status} {words}\r\nContent-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\n{extra}Connection: close\r\n\r\n"
    )
    with contextlib.suppress(OSError):
        writer.write(head.encode() + body)
        await writer.drain()


async def _parted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Close so that what was said arrives: a connection that is closed with something unread takes its last words back."""
    with contextlib.suppress(OSError, TimeoutError):
        if writer.can_write_eof():
            writer.write_eof()
        async with asyncio.timeout(_PARTING_TIMEOUT_S):
            left = _PARTING_BYTES
            while left > 0 and (data := await reader.read(_CHUNK_BYTES)):
                left -= len(data)
            writer.close()
            await writer.wait_closed()
