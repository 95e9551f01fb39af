"""One request to one checked address, and as much of the answer as was asked for. No redirect, no proxy, no cookie, no second look-up."""

import ssl
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from loopwright.secrets.broker import Headers
from loopwright.tools.egress.url import Url

__all__ = ["Answer", "ExchangeFailed", "exchange", "system_tls"]

_CHUNK_BYTES: Final = 64 << 10


class ExchangeFailed(Exception):
    """`sent`: something of the request may have left, so what the other side did is not known."""

    def __init__(self, why: str, *, sent: bool) -> None:
        super().__init__(why)
        self.sent = sent


@dataclass(frozen=True, slots=True)
class Answer:
    """`body` is decompressed; `truncated` when there was more than the limit, of either side of the decompression."""

    status: int
    headers: Headers
    body: bytes
    truncated: bool = False

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name), None)


@dataclass(slots=True)
class Progress:
    sent: bool = False

    async def trace(self, event: str, info: Mapping[str, object]) -> None:
        if event.endswith("send_request_headers.started"):
            self.sent = True


def system_tls() -> ssl.SSLContext:
    """Certificates checked against the system's authorities, names checked too."""
    return ssl.create_default_context()


async def exchange(
    method: str,
    url: Url,
    addresses: Sequence[str],
    headers: Headers,
    body: bytes,
    *,
    tls: ssl.SSLContext | None,
    timeout_s: float,
    limit_bytes: int,
    progress: Progress,
) -> Answer:
    """Connects to the first of `addresses` that takes it; the certificate must be the host's, not the address's.

    `limit_bytes` bounds the body as it comes and as it is decompressed. Raises: `ExchangeFailed`.
    """
    import httpx2

    if tls is None:
        # For plain http; one that trusts nobody, and that costs no reading of the system's authorities.
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # The URL carries the address, so that nothing below can look the name up again; Host and server name carry the host.
    failure = "no address"
    for address in addresses:
        netloc = f"[{address}]" if ":" in address else address
        request = httpx2.Request(
            method,
            httpx2.URL(f"{url.scheme}://{netloc}:{url.target.port}").copy_with(raw_path=url.path.encode("ascii")),
            headers=[("Host", url.host_header), *headers],
            content=body,
            extensions={
                "sni_hostname": url.target.host,
                "timeout": dict.fromkeys(("connect", "read", "write", "pool"), timeout_s),
                "trace": progress.trace,
            },
        )
        async with httpx2.AsyncHTTPTransport(verify=tls, trust_env=False) as transport:
            try:
                response = await transport.handle_async_request(request)
                try:
                    return await _answer(response, method, limit_bytes)
                finally:
                    await response.aclose()
            except (httpx2.HTTPError, ValueError) as error:
                # Only the words: the error holds the request, and that the secret.
                failure = f"{type(error).__name__}: {error}"
        if progress.sent:
            break
    raise ExchangeFailed(failure, sent=progress.sent)


async def _answer(response: object, method: str, limit_bytes: int) -> Answer:
    import httpx2

    assert isinstance(response, httpx2.Response)
    headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in response.headers.raw)
    if method == "HEAD":
        return Answer(response.status_code, headers, b"")
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    inflate = _Inflate(encoding, limit_bytes)
    truncated = False
    received = 0
    async for chunk in response.aiter_raw(_CHUNK_BYTES):
        received += len(chunk)
        inflate.feed(chunk)
        if inflate.full or received > limit_bytes:
            truncated = True
            break
    return Answer(response.status_code, headers, bytes(inflate.out[:limit_bytes]), truncated)


class _Inflate:
    """A body that is never larger than the limit in memory, however much a compressed one wants to be."""

    def __init__(self, encoding: str, limit_bytes: int) -> None:
        if encoding not in ("identity", "", "gzip", "x-gzip", "deflate"):
            raise ValueError(f"content encoding {encoding[:40]!r} was not asked for")
        self._inflate = None if encoding in ("identity", "") else zlib.decompressobj(wbits=47)
        self._limit = limit_bytes
        self.out = bytearray()

    @property
    def full(self) -> bool:
        return len(self.out) > self._limit

    def feed(self, data: bytes) -> None:
        if self._inflate is None:
            self.out += data
            return
        try:
            self.out += self._inflate.decompress(data, self._limit + 1 - len(self.out))
        except zlib.error as error:
            raise ValueError(f"the compressed body is broken: {error}") from None
