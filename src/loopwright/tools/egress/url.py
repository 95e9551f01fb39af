"""A URL taken apart in the one way that we then also send it. What parsers are known to disagree on is refused. Pure."""

import re
import urllib.parse
from dataclasses import dataclass
from typing import Final, Literal

from loopwright.secrets.target import HTTPS_PORT, BadTarget, Target, parse_target
from loopwright.tools.egress.errors import EgressRefused

__all__ = ["MAX_URL_CHARS", "Url", "join", "parse_url"]

MAX_URL_CHARS: Final = 8 << 10

_URL: Final = re.compile(r"(https?)://([^/?#]+)([^#]*)(?:#.*)?", re.IGNORECASE)
_PRINTABLE: Final = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class Url:
    """`path` begins with `/` and goes up to the end of the query; a fragment is not kept, it is never sent."""

    scheme: Literal["https", "http"]
    target: Target
    path: str

    @property
    def host_header(self) -> str:
        host = f"[{self.target.host}]" if ":" in self.target.host else self.target.host
        return host if self.target.port == _default_port(self.scheme) else f"{host}:{self.target.port}"

    @property
    def origin(self) -> tuple[str, Target]:
        return self.scheme, self.target

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host_header}{self.path}"


def parse_url(text: str) -> Url:
    """Raises: `EgressRefused`."""
    if len(text) > MAX_URL_CHARS:
        raise _bad(f"has {len(text)} characters, more than {MAX_URL_CHARS}", "shorten it")
    if not _PRINTABLE.fullmatch(text) or "\\" in text:
        raise _bad("has white space, a backslash or letters beyond ASCII", "percent-encode them")
    match = _URL.fullmatch(text)
    if match is None:
        raise _bad("is not https://host/…", "write it like that")
    scheme: Literal["https", "http"] = "https" if match[1].lower() == "https" else "http"
    try:
        target = parse_target(match[2], _default_port(scheme))
    except BadTarget as error:
        raise _bad(f"names a host that {error}", "correct the host") from None
    path = match[3]
    return Url(scheme, target, path if path.startswith("/") else f"/{path}")


def join(base: Url, location: str) -> Url:
    """Where a redirect from `base` leads. Raises: `EgressRefused`."""
    if not _PRINTABLE.fullmatch(location) or "\\" in location:
        raise _bad("of a redirect has white space, a backslash or letters beyond ASCII", "ask for its target yourself")
    try:
        return parse_url(urllib.parse.urljoin(str(base), location))
    except ValueError:
        raise _bad("of a redirect cannot be read", "ask for its target yourself") from None


def _default_port(scheme: str) -> int:
    return HTTPS_PORT if scheme == "https" else 80


def _bad(found: str, remedy: str) -> EgressRefused:
    return EgressRefused("egress.url", f"the URL {found}", remedy)
