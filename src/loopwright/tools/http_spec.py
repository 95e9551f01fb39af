"""What the HTTP tools are called, what their arguments mean, and how much they take."""

from dataclasses import dataclass
from typing import Final

from loopwright.policy.values import Argument, OutputField, ToolSpec

__all__ = ["DEFAULT_LIMITS", "GET", "SEND", "HttpLimits"]

_HEADERS: Final = '{"type":"object","additionalProperties":{"type":"string"},"maxProperties":32}'
_URL: Final = '{"type":"string","maxLength":8192}'
_OUTPUT: Final = (
    OutputField("status", "system"),
    OutputField("bytes", "system"),
    OutputField("truncated", "system"),
    OutputField("url", "free"),
    OutputField("headers", "free"),
    OutputField("text", "free"),
    OutputField("sha256", "system"),
)

GET: Final = ToolSpec(
    "http.get",
    "net_read",
    (
        Argument("url", "target", _URL),
        Argument("headers", "content", _HEADERS, required=False),
        Argument("method", "flag", '{"enum":["GET","HEAD"]}', required=False),
    ),
    _OUTPUT,
    "Read a URL of a granted host. Pages come as text.",
)
SEND: Final = ToolSpec(
    "http.send",
    "send",
    (
        Argument("url", "target", _URL),
        Argument("method", "flag", '{"enum":["POST","PUT","PATCH","DELETE"]}'),
        Argument("headers", "content", _HEADERS, required=False),
        Argument("body", "content", '{"type":"string"}', required=False),
    ),
    _OUTPUT,
    "Send a request that may change something to a granted host.",
)


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """`body_bytes` of a request, `answer_bytes` of an answer, packed and unpacked; `text_chars` is what an actor gets of it."""

    redirects: int = 5
    header_bytes: int = 16 << 10
    body_bytes: int = 1 << 20
    answer_bytes: int = 4 << 20
    text_chars: int = 64 << 10


DEFAULT_LIMITS: Final = HttpLimits()
