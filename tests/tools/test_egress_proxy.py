"""The proxy lets programs in a sandbox reach exactly the granted hosts, and says in one line what it refuses and why."""

import asyncio
import base64
import json
import os
import ssl
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwright.journal.redact import Redactor
from loopwright.policy.policy import SecretSource, SecretSpec
from loopwright.sandbox.bubblewrap import BubblewrapSandbox
from loopwright.sandbox.identity import sandbox_uid
from loopwright.sandbox.protocol import Bind, ExecSpec
from loopwright.secrets.broker import Broker
from loopwright.secrets.canary import decoys
from loopwright.secrets.errors import CanarySeen
from loopwright.tools.egress import inside
from loopwright.tools.egress.allow import EgressList, Resolver
from loopwright.tools.egress.errors import EgressRefused
from loopwright.tools.egress.hello import NotTls, hello_length, server_name
from loopwright.tools.egress.proxy import EgressProxy
from loopwright.tools.egress.request import parse_head
from support.loopback import Authority, World, answer, resolver_of, serving

HOST = "api.example.test"
VALUE = "Correct/Horse+" + "Battery=Staple"
DECOY = decoys(b"k" * 32)[0].value


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


PYTHON = os.path.realpath(sys.executable)


class Proxy:
    """A proxy at a socket of a test, and what became of it."""

    def __init__(
        self,
        folder: Path,
        hosts: Sequence[str],
        *,
        resolver: Resolver | None = None,
        token: str | None = None,
        sent_limit_bytes: int | None = None,
        connections: int = 64,
        head_timeout_s: float = 10.0,
    ) -> None:
        broker = Broker([SecretSpec("api", SecretSource("env", ("VALUE",)), host=HOST)], {"VALUE": VALUE}, Redactor())
        broker.plant(decoys(b"k" * 32))
        self.uid = os.geteuid()
        self.seen: list[CanarySeen] = []
        self.path = folder / "p.sock"
        self.proxy = EgressProxy(
            EgressList.of(hosts),
            broker,
            self.seen.append,
            resolver=resolver or resolver_of(["127.0.0.1"])[0],
            token=token,
            sent_limit_bytes=sent_limit_bytes,
            connections=connections,
            head_timeout_s=head_timeout_s,
        )

    async def say(self, data: bytes, *more: bytes) -> bytes:
        """All that the proxy answers to `data` and, piece by piece, `more`."""
        reader, writer = await asyncio.open_unix_connection(str(self.path))
        try:
            for piece in (data, *more):
                writer.write(piece)
                await writer.drain()
            return await reader.read()
        finally:
            writer.close()

    async def connect(self, netloc: str, *headers: str) -> tuple[bytes, asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_unix_connection(str(self.path))
        writer.write("\r\n".join((f"CONNECT {netloc} HTTP/1.1", f"Host: {netloc}", *headers, "", "")).encode())
        return await reader.readuntil(b"\r\n\r\n"), reader, writer


@asynccontextmanager
async def running(folder: Path, hosts: Sequence[str], **how: object) -> AsyncIterator[Proxy]:
    made = Proxy(folder, hosts, **how)  # type: ignore[arg-type]
    await made.proxy.serve_unix(made.path)
    try:
        yield made
    finally:
        await made.proxy.close()


def hosts_of(world: World) -> list[str]:
    return [f"{HOST}:{world.port}", f"127.0.0.1:{world.port}"]


# --- tunnels --------------------------------------------------------------------------------------------------------------
def test_a_tunnel_to_a_granted_host_carries_tls_end_to_end(authority: Authority, tmp_path: Path) -> None:
    async def main() -> None:
        async with (
            serving(lambda _: answer(), authority.server_tls(HOST)) as world,
            running(tmp_path, hosts_of(world)) as made,
        ):
            head, reader, writer = await made.connect(f"{HOST}:{world.port}")
            assert head.startswith(b"HTTP/1.1 200 ")
            await writer.start_tls(authority.client_tls(), server_hostname=HOST)
            writer.write(f"GET /x HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
            assert (await reader.read()).endswith(b"hello")
            writer.close()
            assert [seen.line for seen in world.seen] == ["GET /x HTTP/1.1"]
            assert made.proxy.counters.requests == 1 and made.proxy.counters.refused == 0
            assert made.proxy.counters.sent_bytes > 500 and made.proxy.counters.received_bytes > 500

    asyncio.run(main())


@pytest.mark.parametrize(
    ("netloc", "rule"),
    [
        ("evil.test:443", "egress.host"),
        (f"{HOST}.evil.test:443", "egress.host"),
        (f"{HOST}:22", "egress.host"),
        (f"{HOST}.:443", "egress.url"),
        (f"good@{HOST}:443", "egress.url"),
        ("2130706433:443", "egress.url"),
        ("127.0.0.1:443", "egress.host"),
        ("[::ffff:127.0.0.1]:443", "egress.host"),
        ("169.254.169.254:443", "egress.host"),
        (f"{HOST}:443", "egress.address"),
    ],
)
def test_a_tunnel_elsewhere_is_refused_with_rule_and_remedy(tmp_path: Path, netloc: str, rule: str) -> None:
    async def main() -> None:
        async with running(tmp_path, [HOST]) as made:
            text = await made.say(f"CONNECT {netloc} HTTP/1.1\r\n\r\n".encode())
            assert text.startswith(b"HTTP/1.1 403 ") and f"[{rule}]; ".encode() in text
            assert made.proxy.counters.refused == 1 and made.proxy.counters.sent_bytes == 0

    asyncio.run(main())


@pytest.mark.parametrize(
    "first",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"SSH-2.0-x\r\n",
        b"\x16\x03\x01\xff\xff" + b"x" * 99,
        b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03",
    ],
)
def test_a_tunnel_that_does_not_begin_with_tls_carries_nothing(tmp_path: Path, first: bytes) -> None:
    async def main() -> None:
        async with serving(lambda _: answer()) as world, running(tmp_path, hosts_of(world)) as made:
            _, reader, writer = await made.connect(f"{HOST}:{world.port}")
            writer.write(first)
            assert await reader.read() == b""
            writer.close()
            assert world.seen == [] and made.proxy.counters.sent_bytes == 0 and made.proxy.counters.refused == 1

    asyncio.run(main())


@pytest.mark.parametrize("name", ["other.example.test", f"x.{HOST}", None])
def test_a_tunnel_whose_tls_asks_for_another_host_carries_nothing(
    authority: Authority, tmp_path: Path, name: str | None
) -> None:
    async def main() -> None:
        async with (
            serving(lambda _: answer(), authority.server_tls(HOST)) as world,
            running(tmp_path, hosts_of(world)) as made,
        ):
            _, reader, writer = await made.connect(f"{HOST}:{world.port}")
            writer.write(hello_for(name))
            assert await reader.read() == b""
            writer.close()
            assert made.proxy.counters.sent_bytes == 0 and made.proxy.counters.refused == 1

    asyncio.run(main())


def hello_for(name: str | None) -> bytes:
    """What a real TLS library sends first."""
    context = ssl.create_default_context()
    context.check_hostname = False
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname=name).do_handshake()
    return outgoing.read()


A_HELLO = hello_for(HOST)


def test_the_server_name_of_a_real_hello_is_read() -> None:
    hello = hello_for(HOST)
    assert hello_length(hello[:5]) == len(hello)
    assert server_name(hello) == HOST
    assert server_name(hello_for(None)) is None


@given(st.binary(max_size=80), st.integers(0, 300))
def test_a_broken_hello_is_never_more_than_not_tls(noise: bytes, at: int) -> None:
    hello = A_HELLO
    for data in (noise, hello[:at], hello[:at] + noise + hello[at + len(noise) :]):
        try:
            name = server_name(data)
        except NotTls:
            continue
        assert name is None or isinstance(name, str)


def test_a_client_that_says_nothing_is_let_go(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path, [HOST], head_timeout_s=0.1) as made:
            assert b" 408 " in await made.say(b"CONN")

    asyncio.run(main())


# --- plain requests -------------------------------------------------------------------------------------------------------
def test_a_plain_request_to_a_granted_loopback_address_goes_on_in_origin_form(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(lambda seen: answer(body=seen.body)) as world, running(tmp_path, hosts_of(world)) as made:
            url = f"http://127.0.0.1:{world.port}/a?b"
            text = await made.say(
                f"POST {url} HTTP/1.1\r\nHost: evil.test\r\nProxy-Authorization: Basic eDp5\r\nProxy-Connection: keep-alive\r\n"
                f"X-A: 1\r\nContent-Length: 6\r\n\r\nabc".encode(),
                b"def",
            )
            assert text.endswith(b"abcdef")
            (seen,) = world.seen
            assert seen.line == "POST /a?b HTTP/1.1" and seen.body == b"abcdef"
            assert dict(seen.headers) == {
                "Host": f"127.0.0.1:{world.port}",
                "Connection": "close",
                "X-A": "1",
                "Content-Length": "6",
            }

    asyncio.run(main())


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (f"GET http://{HOST}/ HTTP/1.1\r\n\r\n", "egress.host"),
        (f"GET http://{HOST}:443/ HTTP/1.1\r\n\r\n", "egress.https"),
        ("GET http://169.254.169.254/latest HTTP/1.1\r\n\r\n", "egress.host"),
        ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "egress.url"),
        ("GET ftp://x/ HTTP/1.1\r\n\r\n", "egress.url"),
        ("GET http://x/ HTTP/2\r\n\r\n", "egress.request"),
        ("nonsense\r\n\r\n", "egress.request"),
        ("GET http://x/ HTTP/1.1\r\nA: 1\r\n folded\r\n\r\n", "egress.request"),
        ("GET http://x/ HTTP/1.1\r\nA : 1\r\n\r\n", "egress.request"),
        ("GET http://x/ HTTP/1.1\r\nA: 1\nB: 2\r\n\r\n", "egress.request"),
        ("POST http://x/ HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "egress.request"),
        ("POST http://x/ HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "egress.request"),
    ],
)
def test_any_other_request_is_refused(tmp_path: Path, data: str, rule: str) -> None:
    async def main() -> None:
        async with running(tmp_path, [HOST]) as made:
            text = (await made.say(data.encode())).decode()
            assert text.startswith("HTTP/1.1 403 ") and f"[{rule}]" in text

    asyncio.run(main())


def test_a_head_without_end_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path, [HOST]) as made:
            assert b" 431 " in await made.say(b"GET http://x/ HTTP/1.1\r\n" + b"A: 1\r\n" * 20_000)

    asyncio.run(main())


@pytest.mark.parametrize("place", ["path", "header", "body", "body in pieces", "base64 in pieces", "real"])
def test_a_decoy_in_a_plain_request_ends_the_run_and_does_not_arrive(tmp_path: Path, place: str) -> None:
    async def main() -> None:
        async with serving(lambda _: answer()) as world, running(tmp_path, hosts_of(world)) as made:
            path, header, body = "", "1", b""
            if place == "path":
                path = DECOY
            elif place == "header":
                header = DECOY
            else:
                body = {"real": VALUE.encode(), "base64 in pieces": base64.b64encode(b"see " + DECOY.encode())}.get(
                    place, DECOY.encode()
                )
            head = f"PUT http://127.0.0.1:{world.port}/{path} HTTP/1.1\r\nX-A: {header}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            if "pieces" in place:
                text = await made.say(head, body[:21], body[21:])
            else:
                text = await made.say(head + body)
            assert text.startswith(b"HTTP/1.1 403 ") and DECOY.encode() not in text and VALUE.encode() not in text
            assert [seen.canary for seen in made.seen] == ([] if place == "real" else ["cloud"])
            assert all(
                DECOY.encode()[:30] not in seen.body and DECOY not in str(seen.headers) + seen.line
                for seen in world.seen
            )

    asyncio.run(main())


# --- who may use it, and how much -----------------------------------------------------------------------------------------
def test_with_a_token_only_who_knows_it_gets_through(tmp_path: Path) -> None:
    def proof(password: str) -> str:
        return "Proxy-Authorization: Basic " + base64.b64encode(f"loopwright:{password}".encode()).decode()

    async def main() -> None:
        async with serving(lambda _: answer()) as world, running(tmp_path, hosts_of(world), token="right-one") as made:
            for headers in (
                (),
                (proof("wrong"),),
                ("Proxy-Authorization: Basic !!!",),
                ("Authorization: Bearer right-one",),
            ):
                head, _, writer = await made.connect(f"{HOST}:{world.port}", *headers)
                assert head.startswith(b"HTTP/1.1 407 ")
                writer.close()
            for header in (proof("right-one"), "proxy-authorization: Bearer right-one"):
                head, _, writer = await made.connect(f"{HOST}:{world.port}", header)
                assert head.startswith(b"HTTP/1.1 200 ")
                writer.close()

    asyncio.run(main())


def test_what_may_leave_is_counted_and_bounded(tmp_path: Path) -> None:
    async def main() -> None:
        async with (
            serving(lambda seen: answer()) as world,
            running(tmp_path, hosts_of(world), sent_limit_bytes=1000) as made,
        ):
            head = f"POST http://127.0.0.1:{world.port}/ HTTP/1.1\r\nContent-Length: 5000\r\n\r\n".encode()
            text = await made.say(head, b"x" * 5000)
            assert b"[egress.bytes]" in text and world.seen == []
            assert 0 < made.proxy.counters.sent_bytes <= 1000 and made.proxy.counters.refused == 1

    asyncio.run(main())


def test_too_many_connections_at_a_time_are_turned_away(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path, [HOST], connections=1) as made:
            _, writer = await asyncio.open_unix_connection(str(made.path))
            writer.write(b"CONN")
            await writer.drain()
            # Connections are taken in the order in which they were made.
            assert b" 503 " in await made.say(b"CONNECT x:443 HTTP/1.1\r\n\r\n")
            writer.close()

    asyncio.run(main())


def test_the_socket_is_ours_alone_and_is_gone_afterwards(tmp_path: Path) -> None:
    async def main() -> Path:
        async with running(tmp_path, [HOST]) as made:
            assert stat.S_IMODE(os.stat(made.path).st_mode) == 0o600
            return made.path

    assert not asyncio.run(main()).exists()


def test_closing_ends_what_is_open(authority: Authority, tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(lambda _: None, authority.server_tls(HOST)) as world:
            async with running(tmp_path, hosts_of(world)) as made:
                _, reader, writer = await made.connect(f"{HOST}:{world.port}")
                writer.write(hello_for(HOST))
                await reader.read(1)
            await reader.read()
            writer.close()

    asyncio.run(main())


@given(st.text(st.sampled_from("GET CONECThtp:/.@[]\r\n\t0123x\u0430\x00-_%"), max_size=60))
def test_any_bytes_as_a_head_are_a_request_or_refused(text: str) -> None:
    try:
        request = parse_head(text.encode() + b"\r\n\r\n")
    except EgressRefused as refused:
        said = refused.rule, str(refused).count("\n")
        assert said in (("egress.request", 0), ("egress.url", 0))
    else:
        assert request.head.count(b"\r\n\r\n") == (0 if request.tunnel else 1)


# --- from inside a sandbox without network --------------------------------------------------------------------------------
CLIENT = """
import json, os, socket, sys, urllib.request
socket.setdefaulttimeout(20)
found = {"env": os.environ["HTTPS_PROXY"].rpartition(":")[0]}
for name, url in json.loads(sys.argv[1]).items():
    try:
        found[name] = urllib.request.urlopen(url).read().decode()
    except Exception as error:
        found[name] = f"{type(error).__name__}: {error}" + (error.read().decode() if hasattr(error, "read") else "")
with socket.socket() as direct:
    found["direct"] = direct.connect_ex(("127.0.0.1", int(sys.argv[2])))
print(json.dumps(found))
"""
LOOPBACK_UP = "import fcntl, socket, struct; fcntl.ioctl(socket.socket(), 0x8914, struct.pack('16sh14x', b'lo', 1))"


async def outside_of(folder: Path, where: str, made: Proxy, command: list[str]) -> str:
    """What `command` prints when it runs with the proxy's socket: here, in a network name space of its own, or in the sandbox."""
    own = [PYTHON, "-I", inside.__file__, str(made.path), "0", str(folder / "token"), "--", *command]
    if where == "sandbox":
        sandbox = BubblewrapSandbox(folder / "homes", os.environ["PATH"], uid=made.uid, idle_limit=0)
        work = folder / "work"
        work.mkdir()
        readable = (Path(inside.__file__), folder / "token")
        binds = (Bind(made.path, made.path),)
        try:
            spec = ExecSpec(
                tuple(own), work, 60.0, f"{folder.name}/a1", readable=readable, binds=binds, writable=(work,)
            )
            result = await sandbox.run(spec)
        finally:
            sandbox.close()
        assert (result.status, result.returncode) == ("exited", 0), result
        return result.stdout.decode()
    if where == "name space":
        up = [PYTHON, "-I", "-c", f"{LOOPBACK_UP}; import os, sys; os.execv(sys.argv[1], sys.argv[1:])"]
        own = ["unshare", "--user", "--map-root-user", "--net", "--", *up, *own]
    process = await asyncio.create_subprocess_exec(*own, stdout=subprocess.PIPE, env={"PATH": os.environ["PATH"]})
    output, _ = await process.communicate()
    assert process.returncode == 0
    return output.decode()


@pytest.mark.parametrize("where", ["here", "name space", "sandbox"])
def test_a_program_without_network_reaches_the_granted_host_through_the_socket_and_nothing_else(
    tmp_path: Path, where: str
) -> None:
    async def main() -> dict[str, str | int]:
        async with serving(lambda _: answer(body=b"from outside")) as world:
            made = Proxy(tmp_path, hosts_of(world), token="right-one")
            made.uid = sandbox_uid({}) if where == "sandbox" else os.geteuid()
            await made.proxy.serve_unix(made.path, made.uid)
            try:
                (tmp_path / "token").write_text("right-one\n")
                (tmp_path / "token").chmod(0o644)
                wanted = {
                    "granted": f"http://127.0.0.1:{world.port}/",
                    "other": "http://evil.test/",
                    "tls": "https://evil.test/",
                }
                command = [PYTHON, "-c", CLIENT, json.dumps(wanted), str(world.port)]
                found: dict[str, str | int] = json.loads(await outside_of(tmp_path, where, made, command))
                return found
            finally:
                await made.proxy.close()

    found = asyncio.run(main())
    assert found["env"] == "http://loopwright:right-one@127.0.0.1"
    assert found["granted"] == "from outside"
    assert "403" in str(found["other"]) and "[egress.host]" in str(found["other"])
    assert "403" in str(found["tls"])
    assert (found["direct"] != 0) is (where != "here")


def test_the_command_inside_gets_its_arguments_and_gives_its_exit_code(tmp_path: Path) -> None:
    def run(*argv: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run([sys.executable, "-I", inside.__file__, *argv], capture_output=True, check=False)

    code = (sys.executable, "-c", "import os, sys; sys.exit(int(sys.argv[1]) + ('HTTP_PROXY' in os.environ))", "6")
    assert run(str(tmp_path / "none"), "0", "--", *code).returncode == 7
    kill = (sys.executable, "-c", "import os; os.kill(os.getpid(), 9)")
    assert run(str(tmp_path / "none"), "0", "--", *kill).returncode == 137
    wrong = run("x")
    assert wrong.returncode == 2 and wrong.stderr.count(b"\n") == 1


def test_a_proxy_that_is_not_there_is_said(tmp_path: Path) -> None:
    code = "import os, urllib.request as r\ntry: r.urlopen('http://127.0.0.1:1/')\nexcept Exception as e: print(e.code, e.read())"
    result = subprocess.run(
        [sys.executable, "-I", inside.__file__, str(tmp_path / "none"), "0", "--", sys.executable, "-c", code],
        capture_output=True,
        check=False,
        text=True,
    )
    assert result.stdout.startswith("502") and "proxy is not there" in result.stdout
