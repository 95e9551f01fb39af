"""The HTTP tools reach exactly the granted hosts, over TLS that is really checked, and carry secrets nowhere else."""

import asyncio
import base64
import gzip
import ipaddress
import json
import ssl
import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from loopwright.errors import ActionError, UsageError
from loopwright.journal.redact import Redactor
from loopwright.policy.policy import SecretSource, SecretSpec
from loopwright.policy.values import Grant, Json, SecretUse
from loopwright.secrets.broker import Broker
from loopwright.secrets.canary import decoys
from loopwright.secrets.errors import CanarySeen
from loopwright.secrets.placeholder import placeholder
from loopwright.tools.egress.addresses import inside
from loopwright.tools.egress.allow import Resolver
from loopwright.tools.http import HttpTool, http_tools
from loopwright.tools.http_spec import HttpLimits
from loopwright.tools.protocol import ToolContext, ToolOutput
from support.gates import FakeSandbox
from support.loopback import Authority, Seen, World, answer, resolver_of, serving

VALUE = "Correct/Horse+" + "Battery=Staple"
HERE = placeholder("api")
HOST = "api.example.test"
OTHER = "other.example.test"
KEY = b"k" * 32
CONTEXT = ToolContext("run", "c1", "key-of-the-call", FakeSandbox(), None, (), 20.0, lambda: 0)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def no_tls() -> ssl.SSLContext:
    raise AssertionError("no TLS is needed here")


def make(
    hosts: Sequence[str],
    *,
    secret_host: str = HOST,
    secret_header: str = "Authorization",
    resolver: Resolver | None = None,
    tls: Callable[[], ssl.SSLContext] = no_tls,
    limits: HttpLimits | None = None,
) -> tuple[HttpTool, HttpTool]:
    spec = SecretSpec("api", SecretSource("env", ("VALUE",)), host=secret_host, header=secret_header)
    broker = Broker([spec], {"VALUE": VALUE}, Redactor())
    broker.plant(decoys(KEY))
    grant = Grant(hosts=tuple(hosts), secrets=(SecretUse("api", secret_host, secret_header),))
    return http_tools(
        grant, broker, resolver=resolver or resolver_of(["127.0.0.1"])[0], tls=tls, limits=limits or HttpLimits()
    )


def value_of(output: ToolOutput) -> dict[str, Json]:
    assert isinstance(output.value, dict), output.message
    return output.value


async def local(
    reply: bytes | Callable[[Seen], bytes | None], arguments: Mapping[str, Json], **how: HttpLimits
) -> ToolOutput:
    """`http.get` of a plain server on loopback."""
    async with serving(reply if callable(reply) else lambda _: reply) as world:
        get, _ = make([f"127.0.0.1:{world.port}"], **how)  # type: ignore[arg-type]
        return await get.call({"url": f"http://127.0.0.1:{world.port}/", **arguments}, CONTEXT)


# --- the ordinary way ---------------------------------------------------------------------------------------------------
def test_a_page_of_a_granted_host_comes_back_as_text_over_tls_with_the_secret_in_its_header(
    authority: Authority,
) -> None:
    page = b"<html><head><title>T</title><script>evil()</script></head><body><p>one<p>two &amp; three</body></html>"

    async def main() -> None:
        reply = answer(body=page, Content_Type="text/html; charset=utf-8", ETag='"7"')
        async with serving(lambda _: reply, authority.server_tls(HOST)) as world:
            host = f"{HOST}:{world.port}"
            resolver, asked = resolver_of(["127.0.0.1"])
            get, _ = make(
                [host, f"127.0.0.1:{world.port}"], secret_host=host, resolver=resolver, tls=authority.client_tls
            )
            output = await get.call({"url": f"https://{host}/a?b=c#d", "headers": {"Authorization": HERE}}, CONTEXT)
            value = value_of(output)
            assert output.status == "ok" and value["status"] == 200 and value["text"] == "T\none\ntwo & three"
            assert value["headers"] == {"content-type": "text/html; charset=utf-8", "etag": '"7"'}
            (seen,) = world.seen
            assert seen.line == "GET /a?b=c HTTP/1.1" and seen.header("Host") == host
            assert seen.header("Authorization") == f"Bearer {VALUE}"
            assert asked == [HOST] and output.sent_bytes > 0

    asyncio.run(main())


def test_a_send_carries_its_body_and_the_key_of_the_call() -> None:
    async def main() -> None:
        async with serving(lambda _: answer("201 Created", b'{"id": 7}', Content_Type="application/json")) as world:
            _, send = make([f"127.0.0.1:{world.port}"])
            url = f"http://127.0.0.1:{world.port}/items"
            arguments: dict[str, Json] = {
                "url": url,
                "method": "POST",
                "body": "a=1",
                "headers": {"Content-Type": "x/y"},
            }
            preview = await send.preview(arguments, CONTEXT)
            assert preview.diff == f"POST {url}\nContent-Type: x/y\n\na=1"
            assert world.connections == 0
            output = await send.call(arguments, CONTEXT)
            assert output.status == "ok" and value_of(output)["text"] == '{"id": 7}'
            assert world.seen[0].body == b"a=1" and world.seen[0].header("idempotency-key") == "key-of-the-call"
            assert (await send.happened(arguments, CONTEXT)).answer == "unknown"

    asyncio.run(main())


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert asyncio.run(local(answer(), {})).status == "ok"


# --- who may be reached -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("url", "rule"),
    [
        (f"https://{OTHER}/", "egress.host"),
        (f"https://x.{HOST}/", "egress.host"),
        (f"https://{HOST}.evil.test/", "egress.host"),
        (f"https://{HOST}:8443/", "egress.host"),
        (f"http://{HOST}:443/", "egress.https"),
        (f"http://{HOST}/", "egress.host"),
        (f"https://{HOST}./", "egress.url"),
        (f"https://{HOST}@evil.test/", "egress.url"),
        (f"https://evil.test@{HOST}/", "egress.url"),
        (f"https://evil.test\\@{HOST}/", "egress.url"),
        (f"https://{HOST}\\@evil.test/", "egress.url"),
        (f"https://{HOST}%2eevil.test/", "egress.url"),
        ("https://\u0430pi.example.test/", "egress.url"),
        ("https://api\u3002example\u3002test/", "egress.url"),
        ("https://xn--pi-6kc.example.test/", "egress.host"),
        (f"https://{HOST}/a b", "egress.url"),
        (f"https://{HOST}/\r\nX-Evil: 1", "egress.url"),
        (f"https:///{HOST}/", "egress.url"),
        (f"https:/{HOST}/", "egress.url"),
        (f"//{HOST}/", "egress.url"),
        (f"file://{HOST}/etc/passwd", "egress.url"),
        (f"gopher://{HOST}/", "egress.url"),
        (f"https://{HOST}:0/", "egress.url"),
        (f"https://{HOST}/" + "a" * 9000, "egress.url"),
        ("https://2130706433/", "egress.url"),
        ("https://0x7f.0.0.1/", "egress.url"),
        ("https://0177.0.0.1/", "egress.url"),
        ("https://127.1/", "egress.url"),
        ("https://[::1]/", "egress.host"),
        ("https://[::ffff:127.0.0.1]/", "egress.host"),
        ("https://169.254.169.254/latest/meta-data/", "egress.host"),
    ],
)
def test_a_url_that_is_not_exactly_granted_is_refused_before_anything_is_looked_up(url: str, rule: str) -> None:
    resolver, asked = resolver_of(["127.0.0.1"])
    get, _ = make([HOST], resolver=resolver)
    output = asyncio.run(get.call({"url": url}, CONTEXT))
    assert output.status == "denied" and f"[{rule}]" in output.message and output.sent_bytes == 0
    assert asked == []
    with pytest.raises(ActionError) as caught:
        asyncio.run(get.preview({"url": url}, CONTEXT))
    assert caught.value.status == "denied"


def test_the_same_host_in_capitals_with_its_port_written_out_is_the_same_host() -> None:
    resolver, asked = resolver_of(["10.0.0.1"])
    get, _ = make([HOST], resolver=resolver)
    output = asyncio.run(get.call({"url": f"HTTPS://{HOST.upper()}:443/"}, CONTEXT))
    assert "[egress.address]" in output.message and asked == [HOST]


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"], ["10.1.2.3"], ["172.16.0.1"], ["192.168.1.1"], ["169.254.169.254"], ["100.64.0.1"], ["0.0.0.0"],
        ["224.0.0.1"], ["255.255.255.255"], ["192.0.2.1"], ["198.18.0.1"], ["240.0.0.1"], ["168.63.129.16"], ["100.100.100.200"],
        ["::1"], ["::"], ["fe80::1"], ["fe80::1%lo"], ["fc00::1"], ["fd00:ec2::254"], ["ff02::1"], ["::ffff:127.0.0.1"],
        ["::ffff:a00:1"], ["64:ff9b::7f00:1"], ["64:ff9b:1::7f00:1"], ["2002:7f00:1::"], ["2001:0:7f00:1::1"], ["2001:db8::1"],
        ["::7f00:1"], ["fec0::1"], ["93.184.216.34", "127.0.0.1"], ["2606:2800:220:1::1", "10.0.0.1"],
    ],
)  # fmt: skip
def test_a_name_that_leads_inside_is_refused_even_beside_a_public_address(addresses: list[str]) -> None:
    get, _ = make([HOST], resolver=resolver_of(addresses)[0])
    output = asyncio.run(get.call({"url": f"https://{HOST}/"}, CONTEXT))
    assert output.status == "denied" and "[egress.address]" in output.message and output.sent_bytes == 0


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "8.8.8.8", "2606:2800:220:1::1", "::ffff:93.184.216.34", "64:ff9b::808:808"]
)
def test_a_public_address_is_no_reason_to_refuse(address: str) -> None:
    assert inside(ipaddress.ip_address(address)) is None


def test_a_name_is_looked_up_once_so_that_a_second_answer_changes_nothing(authority: Authority) -> None:
    async def main() -> None:
        async with serving(lambda _: answer(), authority.server_tls(HOST)) as world:
            # What a rebinding server does: a good address for the check, another for the connection.
            resolver, asked = resolver_of(["127.0.0.1"], ["127.0.0.2"])
            hosts = [f"{HOST}:{world.port}", f"127.0.0.1:{world.port}"]
            get, _ = make(hosts, resolver=resolver, tls=authority.client_tls)
            output = await get.call({"url": f"https://{HOST}:{world.port}/"}, CONTEXT)
            assert output.status == "ok" and asked == [HOST] and world.connections == 1

    asyncio.run(main())


def test_the_next_address_is_tried_when_one_does_not_answer(authority: Authority) -> None:
    async def main() -> None:
        async with serving(lambda _: answer(), authority.server_tls(HOST)) as world:
            hosts = [f"{HOST}:{world.port}", f"127.0.0.1:{world.port}", f"127.0.0.9:{world.port}"]
            get, _ = make(hosts, resolver=resolver_of(["127.0.0.9", "127.0.0.1"])[0], tls=authority.client_tls)
            assert (await get.call({"url": f"https://{HOST}:{world.port}/"}, CONTEXT)).status == "ok"

    asyncio.run(main())


@pytest.mark.parametrize("certified", [OTHER, "127.0.0.1", f"x.{HOST}"])
def test_a_certificate_of_another_host_is_refused_before_the_secret_leaves(
    authority: Authority, certified: str
) -> None:
    async def main() -> None:
        async with serving(lambda _: answer(), authority.server_tls(certified)) as world:
            host = f"{HOST}:{world.port}"
            get, _ = make([host, f"127.0.0.1:{world.port}"], secret_host=host, tls=authority.client_tls)
            output = await get.call({"url": f"https://{host}/", "headers": {"Authorization": HERE}}, CONTEXT)
            assert output.status == "error" and "Hostname mismatch" in output.message
            assert world.seen == []

    asyncio.run(main())


def test_a_certificate_of_an_unknown_authority_is_refused(authority: Authority, tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(lambda _: answer(), Authority(tmp_path).server_tls(HOST)) as world:
            get, _ = make([f"{HOST}:{world.port}", f"127.0.0.1:{world.port}"], tls=authority.client_tls)
            output = await get.call({"url": f"https://{HOST}:{world.port}/"}, CONTEXT)
            assert output.status == "error" and "unable to get local issuer" in output.message and world.seen == []

    asyncio.run(main())


def test_a_grant_that_names_no_exact_host_is_a_mistake_that_is_said() -> None:
    for host in ("*.example.test", "https://example.test", "example.test/", ".example.test", "10.0.0.0/8"):
        with pytest.raises(UsageError, match="exact name"):
            make([host])


# --- secrets and decoys -------------------------------------------------------------------------------------------------
def refused_over_tls(arguments: dict[str, Json], rule: str) -> None:
    resolver, asked = resolver_of(["127.0.0.1"])
    get, send = make([HOST, OTHER], resolver=resolver)
    for tool, more in ((get, {}), (send, {"method": "POST"})):
        output = asyncio.run(tool.call({**arguments, **more}, CONTEXT))
        assert output.status == "denied" and f"[{rule}]" in output.message and VALUE not in output.message
    assert asked == []


def test_a_placeholder_anywhere_but_in_its_header_of_its_host_is_refused() -> None:
    url = f"https://{HOST}/"
    refused_over_tls({"url": f"{url}?k={HERE}"}, "secret.misplaced")
    refused_over_tls({"url": url, "body": HERE}, "secret.misplaced")
    refused_over_tls({"url": url, "headers": {"X-Note": HERE}}, "secret.header")
    refused_over_tls({"url": f"https://{OTHER}/", "headers": {"Authorization": HERE}}, "secret.host")
    refused_over_tls({"url": url, "headers": {"Authorization": f"Bearer {HERE}x"}}, "secret.format")


def test_no_secret_goes_over_plain_http_even_to_loopback() -> None:
    async def main() -> None:
        async with serving(lambda _: answer()) as world:
            host = f"127.0.0.1:{world.port}"
            get, _ = make([host], secret_host=host)
            output = await get.call({"url": f"http://{host}/", "headers": {"Authorization": HERE}}, CONTEXT)
            assert output.status == "denied" and "[secret.https]" in output.message and world.connections == 0

    asyncio.run(main())


def test_a_secret_that_the_other_side_echoes_comes_back_as_its_name(authority: Authority) -> None:
    def echo(seen: Seen) -> bytes:
        sent = (seen.header("Authorization") or "").encode()
        body = b"\n".join(
            [
                sent,
                base64.b64encode(b"x" + sent),
                sent.hex().encode(),
                b" ".join(sent[i : i + 1] for i in range(len(sent))),
            ]
        )
        return answer(body=body, Content_Type="text/plain", ETag=sent.decode())

    async def main() -> None:
        async with serving(echo, authority.server_tls(HOST)) as world:
            host = f"{HOST}:{world.port}"
            get, _ = make([host, f"127.0.0.1:{world.port}"], secret_host=host, tls=authority.client_tls)
            output = await get.call({"url": f"https://{host}/", "headers": {"Authorization": HERE}}, CONTEXT)
            text = json.dumps(output.value)
            assert text.count("[redacted:api]") >= 5 and VALUE not in text and VALUE[:12] not in text
            assert VALUE.encode().hex() not in text

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["text/plain", "text/html"])
@pytest.mark.parametrize(
    "limits", [HttpLimits(answer_bytes=1000), HttpLimits(text_chars=1000), HttpLimits(text_chars=125)]
)
def test_no_part_of_a_secret_is_left_where_an_answer_is_cut(
    authority: Authority, limits: HttpLimits, kind: str
) -> None:
    def reply(seen: Seen) -> bytes:
        padding = int(seen.line.split()[1].lstrip("/"))
        return answer(
            body=b"x" * padding + (seen.header("Authorization") or "").encode() + b"y" * 5000, Content_Type=kind
        )

    async def main() -> None:
        async with serving(reply, authority.server_tls(HOST)) as world:
            host = f"{HOST}:{world.port}"
            hosts = [host, f"127.0.0.1:{world.port}"]
            get, _ = make(hosts, secret_host=host, tls=authority.client_tls, limits=limits)
            for padding in (90, 100, 970, 980, 985):
                arguments: dict[str, Json] = {"url": f"https://{host}/{padding}", "headers": {"Authorization": HERE}}
                text = str(value_of(await get.call(arguments, CONTEXT))["text"])
                assert VALUE[:4] not in text and text.startswith("x" * 90)

    asyncio.run(main())


@pytest.mark.parametrize("place", ["query", "path", "body", "header", "base64", "hex", "real"])
def test_a_decoy_in_anything_that_would_leave_ends_the_run_before_it_does(place: str) -> None:
    value = decoys(KEY)[0].value
    wrapped = {"base64": base64.b64encode(b"a " + value.encode()).decode(), "hex": value.encode().hex()}.get(
        place, value
    )

    async def main() -> None:
        async with serving(lambda _: answer()) as world:
            _, send = make([f"127.0.0.1:{world.port}"])
            url = f"http://127.0.0.1:{world.port}/"
            url += {"query": f"?q={value[:7]}%{ord(value[7]):02x}{value[8:]}", "path": value}.get(place, "")
            body = f"so: {wrapped}" if place in ("body", "base64", "hex") else VALUE if place == "real" else ""
            headers: dict[str, Json] = {"X-Note": value} if place == "header" else {}
            arguments: dict[str, Json] = {"url": url, "method": "PUT", "body": body, "headers": headers}
            if place == "real":
                output = await send.call(arguments, CONTEXT)
                assert output.status == "denied" and "[secret.in_egress]" in output.message
            else:
                with pytest.raises(CanarySeen) as caught:
                    await send.call(arguments, CONTEXT)
                assert caught.value.canary == "cloud"
            assert world.connections == 0

    asyncio.run(main())


@pytest.mark.parametrize(
    "headers",
    [
        {"X-A": "1\r\nX-B: 2"}, {"X-A": "1\nX-B: 2"}, {"X-A\r\nX-B": "2"}, {"X-A": "a\x00b"}, {"X A": "1"}, {"": "1"}, {"X-A": "\u00e9"},
        {"Host": "evil.test"}, {"host": "evil.test"}, {"Content-Length": "0"}, {"Transfer-Encoding": "chunked"}, {"Connection": "x"},
        {"Idempotency-Key": "mine"}, {"X-HTTP-Method-Override": "DELETE"}, {"Proxy-Authorization": "x"}, {"X-A": "1", "x-a": "2"},
        {"X-A": "a" * 20_000},
    ],
)  # fmt: skip
def test_a_header_that_is_ours_or_no_single_line_is_refused(headers: dict[str, Json]) -> None:
    output = asyncio.run(make([HOST])[0].call({"url": f"https://{HOST}/", "headers": headers}, CONTEXT))
    assert output.status == "denied" and "[egress.header]" in output.message and "\n" not in output.message


# --- redirects ----------------------------------------------------------------------------------------------------------
async def redirected(
    authority: Authority,
    location: str,
    *,
    granted: bool = True,
    status: str = "302 Found",
    method: str = "GET",
    header: str = "Authorization",
) -> tuple[ToolOutput, World, World]:
    """A request with the secret and a cookie to one host that redirects; `{other}` is the second host with its port."""
    async with serving(lambda _: answer(), authority.server_tls(OTHER)) as second:
        other = f"{OTHER}:{second.port}"

        def first_reply(seen: Seen) -> bytes:
            where = location.format(other=other)
            return answer() if seen.line.split()[1] == "/there" else answer(status, Location=where)

        async with serving(first_reply, authority.server_tls(HOST)) as first:
            host = f"{HOST}:{first.port}"
            hosts = [host, f"127.0.0.1:{first.port}", f"127.0.0.1:{second.port}", *([other] if granted else [])]
            get, send = make(hosts, secret_host=host, secret_header=header, tls=authority.client_tls)
            headers: dict[str, Json] = {
                header: HERE,
                "Cookie": "a=b",
                "X-Plain": "kept",
                "Content-Type": "x/y",
            }
            arguments: dict[str, Json] = {"url": f"https://{host}/here", "headers": headers, "method": method}
            tool = get
            if method != "GET":
                tool, arguments["body"] = send, "the body"
            return await tool.call(arguments, CONTEXT), first, second


def test_a_redirect_on_the_same_host_keeps_the_secret(authority: Authority) -> None:
    output, first, _ = asyncio.run(redirected(authority, "/there"))
    assert output.status == "ok" and [s.header("Authorization") for s in first.seen] == [f"Bearer {VALUE}"] * 2


@pytest.mark.parametrize("header", ["Authorization", "X-Own-Header"])
def test_a_redirect_to_another_granted_host_loses_the_secret_and_the_cookie(authority: Authority, header: str) -> None:
    output, _, second = asyncio.run(redirected(authority, "https://{other}/x", header=header))
    assert output.status == "ok"
    (seen,) = second.seen
    assert (seen.header(header), seen.header("Cookie"), seen.header("X-Plain")) == (None, None, "kept")
    assert VALUE not in str(seen) and HERE not in str(seen)


@pytest.mark.parametrize(
    ("location", "rule"),
    [
        ("https://evil.test/", "egress.host"),
        ("//evil.test/", "egress.host"),
        ("http://{other}/", "egress.https"),
        ("https://169.254.169.254/", "egress.host"),
        ("https://good@{other}/", "egress.url"),
        ("file:///etc/passwd", "egress.url"),
        ("https://{other}\\@evil.test/", "egress.url"),
        ("https://[::1/", "egress.url"),
    ],
)
def test_every_redirect_is_checked_like_a_url_of_the_actor(authority: Authority, location: str, rule: str) -> None:
    output, _, second = asyncio.run(redirected(authority, location))
    assert output.status == "denied" and f"[{rule}]" in output.message and second.connections == 0


def test_a_redirect_to_a_host_that_is_not_granted_is_refused(authority: Authority) -> None:
    output, _, second = asyncio.run(redirected(authority, "https://{other}/", granted=False))
    assert output.status == "denied" and "[egress.host]" in output.message and second.connections == 0


def test_a_send_that_is_redirected_reads_the_answer_and_never_sends_the_body_to_another_host(
    authority: Authority,
) -> None:
    output, _, second = asyncio.run(redirected(authority, "https://{other}/x", status="303 See Other", method="POST"))
    (seen,) = second.seen
    assert (
        output.status == "ok"
        and seen.line.startswith("GET ")
        and seen.body == b""
        and seen.header("Content-Type") is None
    )
    output, first, second = asyncio.run(
        redirected(authority, "https://{other}/x", status="307 Temporary", method="POST")
    )
    assert output.status == "ok" and "[egress.redirect]" in output.message and value_of(output)["status"] == 307
    assert second.connections == 0 and first.seen[0].body == b"the body"
    output, first, _ = asyncio.run(redirected(authority, "/there", status="308 Permanent", method="POST"))
    assert [s.body for s in first.seen] == [b"the body"] * 2


def test_redirects_without_end_end(authority: Authority) -> None:
    output, first, _ = asyncio.run(redirected(authority, "/again"))
    assert output.status == "error" and "more than 5 redirects" in output.message and len(first.seen) == 6


# --- hostile answers ----------------------------------------------------------------------------------------------------
def test_an_answer_larger_than_the_limit_is_cut_and_said_to_be() -> None:
    limits = HttpLimits(answer_bytes=10_000, text_chars=100)
    output = asyncio.run(local(answer(body=b"x" * 50_000, Content_Type="text/plain"), {}, limits=limits))
    assert value_of(output)["truncated"] is True and value_of(output)["text"] == "x" * 100


def test_a_decompression_bomb_is_not_unpacked_further_than_the_limit() -> None:
    bomb = answer(body=gzip.compress(b"\0" * (64 << 20)), Content_Encoding="gzip")
    tracemalloc.start()
    try:
        output = asyncio.run(local(bomb, {}, limits=HttpLimits(answer_bytes=200_000)))
        most_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most_bytes < 8 << 20
    assert value_of(output)["bytes"] == 200_000 and value_of(output)["truncated"] is True


@pytest.mark.parametrize("wrap", [lambda b: b, lambda b: gzip.compress(b)])
def test_packed_text_is_unpacked_and_bytes_come_as_a_digest(wrap: Callable[[bytes], bytes]) -> None:
    encoding = {} if wrap(b"x") == b"x" else {"Content_Encoding": "gzip"}
    output = asyncio.run(local(answer(body=wrap(b"plain text"), Content_Type="text/plain", **encoding), {}))
    assert value_of(output)["text"] == "plain text"
    output = asyncio.run(local(answer(body=wrap(b"\x89PNG"), Content_Type="image/png", **encoding), {}))
    assert value_of(output)["bytes"] == 4 and "text" not in value_of(output)


@pytest.mark.parametrize(
    "reply",
    [
        answer(body=b"x", Content_Encoding="br"),
        answer(body=b"not gzip", Content_Encoding="gzip"),
        b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * 200_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"SSH-2.0-OpenSSH\r\n",
        b"",
    ],
)
def test_an_answer_that_is_no_http_is_an_error_of_one_line(reply: bytes) -> None:
    output = asyncio.run(local(reply, {}))
    assert output.status == "error" and output.value is None and "\n" not in output.message


def test_a_server_that_never_answers_times_out() -> None:
    async def main() -> None:
        context = replace(CONTEXT, timeout_s=0.3)
        async with serving(lambda _: None) as world:
            get, _ = make([f"127.0.0.1:{world.port}"])
            assert (await get.call({"url": f"http://127.0.0.1:{world.port}/"}, context)).status == "timeout"

    asyncio.run(main())


@pytest.mark.parametrize("reply", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort"])
def test_a_send_without_a_whole_answer_is_unknown(reply: bytes) -> None:
    async def main() -> None:
        async with serving(lambda _: reply) as world:
            _, send = make([f"127.0.0.1:{world.port}"])
            arguments: dict[str, Json] = {"url": f"http://127.0.0.1:{world.port}/", "method": "POST", "body": "x"}
            output = await send.call(arguments, CONTEXT)
            assert output.status == "unknown" and output.message.startswith("http.send: sent, and then")

    asyncio.run(main())


def test_a_send_that_nobody_took_is_an_error_and_not_unknown() -> None:
    async def main() -> None:
        async with serving(lambda _: answer()) as world:
            port = world.port
        _, send = make([f"127.0.0.1:{port}"])
        output = await send.call({"url": f"http://127.0.0.1:{port}/", "method": "POST", "body": "x"}, CONTEXT)
        assert output.status == "error"

    asyncio.run(main())


def test_a_failing_status_is_an_error_with_its_text() -> None:
    output = asyncio.run(local(answer("404 Not Found", b"no such thing", Content_Type="text/plain"), {}))
    assert output.status == "error" and value_of(output)["text"] == "no such thing" and "404" in output.message


def test_head_has_no_body_and_arguments_that_make_no_request_are_errors() -> None:
    assert value_of(asyncio.run(local(answer(body=b""), {"method": "HEAD"})))["status"] == 200
    wrong: tuple[dict[str, Json], ...] = (
        {"method": "POST"},
        {"url": 7},
        {"headers": "x"},
        {"headers": {"A": 1}},
        {"body": "x" * (2 << 20)},
    )
    for arguments in wrong:
        assert asyncio.run(local(answer(), arguments)).status == "error"
