"""The way out of a server's sandbox leads to the hosts in its list and nowhere else."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from loopwright.errors import UsageError
from loopwright.secrets.errors import CanarySeen
from loopwright.tools.mcp.egress import EgressProxy

SEEN: dict[int, list[bytes]] = {}


@asynccontextmanager
async def origin() -> AsyncIterator[int]:
    """A server on loopback that keeps the heads that reach it and says hello."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        SEEN[port].append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = int(server.sockets[0].getsockname()[1])
    SEEN[port] = []
    try:
        yield port
    finally:
        server.close()


async def ask(proxy: EgressProxy, text: str) -> str:
    reader, writer = await asyncio.open_unix_connection(proxy.socket)
    writer.write(text.encode())
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    return answer.decode()


@asynccontextmanager
async def proxy_to(*hosts: str, **more: object) -> AsyncIterator[EgressProxy]:
    proxy = EgressProxy("fetch", hosts, os.getuid(), **more)  # type: ignore[arg-type]
    await proxy.open()
    try:
        yield proxy
    finally:
        await proxy.close()


def test_a_listed_place_is_reached_plainly_and_through_a_tunnel() -> None:
    async def play() -> None:
        async with origin() as port, proxy_to(f"127.0.0.1:{port}") as proxy:
            request = f"GET http://127.0.0.1:{port}/a?b HTTP/1.1\r\nHost: elsewhere\r\nX-Kept: 1\r\n\r\n"
            assert (await ask(proxy, request)).endswith("hello")
            # The server of the request line is the one that is told: a second name in the head is gone.
            head = SEEN[port][0].decode()
            assert head.startswith("GET /a?b HTTP/1.1\r\n") and "elsewhere" not in head and "X-Kept: 1" in head
            tunnelled = await ask(proxy, f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n")
            assert tunnelled.startswith("HTTP/1.1 200 Connection established") and tunnelled.endswith("hello")
            assert proxy.sent_bytes > 0 and proxy.refused == ()

    asyncio.run(play())


@pytest.mark.parametrize(
    "request_line",
    [
        "GET http://127.0.0.2:{port}/ HTTP/1.1",
        "GET http://127.0.0.1:1/ HTTP/1.1",
        "CONNECT 127.0.0.2:{port} HTTP/1.1",
        "CONNECT 2130706433:{port} HTTP/1.1",
        "GET http://user@127.0.0.1:{port}/ HTTP/1.1",
        "GET http://127.0.0.1:{port}/ HTTP/1.1\r\nX: a\nHost: evil.example",
        "GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}",
        "GET file:///etc/passwd HTTP/1.1",
    ],
)
def test_everything_else_is_refused_and_said(request_line: str) -> None:
    async def play() -> None:
        async with origin() as port, proxy_to(f"127.0.0.1:{port}") as proxy:
            answer = await ask(proxy, request_line.format(port=port) + "\r\n\r\n")
            assert answer.startswith("HTTP/1.1 403") and SEEN[port] == []
            assert len(proxy.refused) == 1 and proxy.sent_bytes == 0

    asyncio.run(play())


def test_a_listed_name_that_leads_to_this_machine_is_refused() -> None:
    async def inwards(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    async def play() -> None:
        async with origin() as port, proxy_to(f"rebound.example:{port}", resolver=inwards) as proxy:
            assert (await ask(proxy, f"CONNECT rebound.example:{port} HTTP/1.1\r\n\r\n")).startswith("HTTP/1.1 403")
            assert "loopback" in proxy.refused[0] and SEEN[port] == []

    asyncio.run(play())


def test_a_decoy_in_what_leaves_is_held_back_and_raises_the_alarm() -> None:
    decoy = "decoy" + "-" + "value"

    class Watch:
        def feed(self, data: bytes) -> None:
            if decoy.encode() in data:
                raise CanarySeen("bait", "url")

    async def play() -> None:
        async with origin() as port, proxy_to(f"127.0.0.1:{port}", watch=lambda where: Watch()) as proxy:
            answer = await ask(proxy, f"GET http://127.0.0.1:{port}/{decoy} HTTP/1.1\r\n\r\n")
            assert answer.startswith("HTTP/1.1 403") and SEEN[port] == []
            assert isinstance(proxy.alarm, CanarySeen)

    asyncio.run(play())


def test_another_user_of_this_machine_cannot_use_the_way_out() -> None:
    async def play() -> None:
        async with origin() as port:
            proxy = EgressProxy("fetch", [f"127.0.0.1:{port}"], os.getuid() + 1)
            await proxy.open()
            try:
                proxy.socket.chmod(0o666)
                with pytest.raises((ConnectionError, AssertionError)):
                    assert await ask(proxy, f"GET http://127.0.0.1:{port}/ HTTP/1.1\r\n\r\n")
                assert SEEN[port] == []
            finally:
                await proxy.close()

    asyncio.run(play())


@pytest.mark.parametrize("host", ["*.example.org", "http://a.example", "", "a.example:0", "ex\u0430mple.org"])
def test_a_list_holds_exact_hosts_only(host: str) -> None:
    with pytest.raises(UsageError, match="expected an exact name"):
        EgressProxy("fetch", [host], os.getuid())
