"""The way out of a server's sandbox leads to the hosts in its list and nowhere else, and says to the user what it refused."""

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from loopwright.errors import UsageError
from loopwright.journal.redact import Redactor
from loopwright.secrets.broker import Broker
from loopwright.secrets.canary import Decoy
from loopwright.secrets.errors import CanarySeen
from loopwright.tools.egress.allow import Resolver, resolve
from loopwright.tools.mcp.egress import WayOut


@asynccontextmanager
async def origin(seen: list[bytes]) -> AsyncIterator[int]:
    """A server on loopback that keeps the heads that reach it and says hello."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()


async def ask(way: WayOut, text: str) -> str:
    reader, writer = await asyncio.open_unix_connection(way.socket)
    writer.write(text.encode())
    answer = await reader.read()
    writer.close()
    return answer.decode()


@asynccontextmanager
async def way_to(*hosts: str, broker: Broker | None = None, resolver: Resolver = resolve) -> AsyncIterator[WayOut]:
    way = WayOut(hosts, broker or Broker((), {}, Redactor()), os.getuid(), resolver=resolver)
    await way.open()
    try:
        yield way
    finally:
        await way.close()


def test_a_listed_place_is_reached_and_counted_and_another_is_refused_and_told() -> None:
    seen: list[bytes] = []

    async def play() -> None:
        async with origin(seen) as port, way_to(f"127.0.0.1:{port}") as way:
            assert (await ask(way, f"GET http://127.0.0.1:{port}/a HTTP/1.1\r\n\r\n")).endswith("hello")
            sent_bytes = way.sent_bytes
            assert sent_bytes > 0 and not way.refused
            answer = await ask(way, f"GET http://127.0.0.2:{port}/a HTTP/1.1\r\n\r\n")
            assert answer.startswith("HTTP/1.1 403") and len(seen) == 1 and way.sent_bytes == sent_bytes
            assert f"add '127.0.0.2:{port}' to the granted hosts" in way.refused[0]

    asyncio.run(play())


def test_a_listed_name_that_leads_to_this_machine_is_refused_and_told() -> None:
    async def inwards(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    async def play() -> None:
        async with way_to("rebound.example", resolver=inwards) as way:
            assert (await ask(way, "CONNECT rebound.example:443 HTTP/1.1\r\n\r\n")).startswith("HTTP/1.1 403")
            assert "loopback" in way.refused[0]

    asyncio.run(play())


def test_a_decoy_is_held_back_and_raises_the_alarm() -> None:
    seen: list[bytes] = []
    value = "decoy" + "-" + "f00dcafe" * 3
    broker = Broker((), {}, Redactor())
    broker.plant([Decoy("bait", value, {}, {})])

    async def play() -> None:
        async with origin(seen) as port, way_to(f"127.0.0.1:{port}", broker=broker) as way:
            await ask(way, f"GET http://127.0.0.1:{port}/{value} HTTP/1.1\r\n\r\n")
            assert seen == [] and isinstance(way.alarm, CanarySeen)

    asyncio.run(play())


def test_the_socket_is_the_sandbox_users_alone_and_gone_afterwards() -> None:
    async def play() -> None:
        async with way_to("a.example") as way:
            status = way.socket.stat()
            assert stat.S_IMODE(status.st_mode) == 0o600 and status.st_uid == os.getuid()
            place = way.socket
        assert not place.parent.exists()

    asyncio.run(play())


@pytest.mark.parametrize("host", ["*.example.org", "http://a.example", "", "a.example:0", "ex\u0430mple.org"])
def test_a_list_holds_exact_hosts_only(host: str) -> None:
    with pytest.raises(UsageError, match="expected an exact name"):
        WayOut([host], Broker((), {}, Redactor()), os.getuid())
