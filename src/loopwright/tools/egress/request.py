"""The head of a request to the proxy, read strictly: what two readers could take differently is refused. Pure."""

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Final

from loopwright.secrets.target import BadTarget, parse_target
from loopwright.tools.egress.errors import EgressRefused
from loopwright.tools.egress.url import Url, parse_url

__all__ = ["HEAD_MAX_BYTES", "ProxyRequest", "parse_head"]

HEAD_MAX_BYTES: Final = 32 << 10

_LINE: Final = re.compile(r"([A-Z]{3,10}) ([!-~]+) HTTP/1\.[01]")
_HEADER: Final = re.compile(
    r"([A-Za-z0-9!#$%&'*+.^_`|~-]+):[ \t]*((?:[!-~\x80-\xff](?:[ \t!-~\x80-\xff]*[!-~\x80-\xff])?)?)[ \t]*"
)
_HOP: Final = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "proxy-authenticate",
        "te",
        "trailer",
        "upgrade",
        "host",
    }
)


@dataclass(frozen=True, slots=True)
class ProxyRequest:
    """`tunnel` is a CONNECT; else `head` is what goes on to the origin. `token` is what the client proved itself with."""

    tunnel: bool
    url: Url
    head: bytes
    token: str | None


def parse_head(data: bytes) -> ProxyRequest:
    """`data` ends with the empty line. Raises: `EgressRefused`."""
    lines = data[:-4].decode("latin-1").split("\r\n")
    first = _LINE.fullmatch(lines[0])
    headers = [_HEADER.fullmatch(line) for line in lines[1:]]
    if first is None or not all(headers):
        raise EgressRefused(
            "egress.request", "the request to the proxy is no plain HTTP/1.1", "send CONNECT or an absolute URL"
        )
    pairs = [(match[1], match[2]) for match in headers if match is not None]
    names = [name.lower() for name, _ in pairs]
    lengths = {value for name, value in pairs if name.lower() == "content-length"}
    if len(lengths) > 1 or (lengths and "transfer-encoding" in names) or names.count("transfer-encoding") > 1:
        raise EgressRefused("egress.request", "the request says in two ways where it ends", "send one Content-Length")
    token = _token(next((value for name, value in pairs if name.lower() == "proxy-authorization"), ""))
    if first[1] == "CONNECT":
        return ProxyRequest(True, _authority(first[2]), b"", token)
    url = parse_url(first[2])
    kept = "".join(f"{name}: {value}\r\n" for name, value in pairs if name.lower() not in _HOP)
    head = f"{first[1]} {url.path} HTTP/1.1\r\nHost: {url.host_header}\r\nConnection: close\r\n{kept}\r\n"
    return ProxyRequest(False, url, head.encode("latin-1"), token)


def _authority(text: str) -> Url:
    try:
        target = parse_target(text)
    except BadTarget as error:
        raise EgressRefused("egress.url", f"CONNECT names a host that {error}", "correct the host") from None
    return Url("https", target, "/")


def _token(value: str) -> str | None:
    scheme, _, text = value.partition(" ")
    if scheme.lower() == "bearer":
        return text.strip()
    if scheme.lower() != "basic":
        return None
    try:
        return base64.b64decode(text.strip(), validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return None
