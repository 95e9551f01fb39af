"""Who a request goes to, as exact text: one spelling a host, so that two hosts are the same exactly when they are equal.

Everything that resolvers, browsers and libraries are known to read differently is refused here rather than normalised: user names
before an @, trailing dots, percent signs, letters beyond ASCII, and numbers that some would take for an IPv4 address.
"""

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

__all__ = ["HTTPS_PORT", "Address", "BadTarget", "Target", "parse_target"]

HTTPS_PORT: Final = 443

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER: Final = re.compile(r"(?:[0-9]+|0x[0-9a-f]*)")
_PORT: Final = re.compile(r"[1-9][0-9]{0,4}")


class BadTarget(ValueError):
    """Says what is wrong with a host in words that follow its name."""


@dataclass(frozen=True, slots=True)
class Target:
    """`host` is a lower-case name or an address in its canonical form, without brackets."""

    host: str
    port: int

    @property
    def address(self) -> Address | None:
        """The address when the host is written as one."""
        try:
            return ipaddress.ip_address(self.host)
        except ValueError:
            return None

    @property
    def netloc(self) -> str:
        """As it stands in a URL and in a grant; the https port is left out."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == HTTPS_PORT else f"{host}:{self.port}"

    def __str__(self) -> str:
        return self.netloc


def parse_target(text: str, default_port: int = HTTPS_PORT) -> Target:
    """`host`, `host:port`, `[v6]` or `[v6]:port`, in any letter case.

    Raises: `BadTarget` for everything that is not exactly that.
    """
    if "@" in text:
        raise BadTarget("has a user name before an @, which hides who it goes to; leave it out")
    if not text.isascii():
        raise BadTarget("has letters beyond ASCII, which can look like others; use the xn-- form of the name")
    if text.startswith("["):
        inside, bracket, rest = text[1:].partition("]")
        if not bracket:
            raise BadTarget("has a [ without a ]")
        host = _ipv6(inside)
    else:
        name, colon, port_text = text.partition(":")
        rest = colon + port_text
        host = _name(name.lower())
    if not rest:
        return Target(host, default_port)
    if not rest.startswith(":") or not _PORT.fullmatch(rest[1:]) or int(rest[1:]) > 65535:
        raise BadTarget("has no port from 1 to 65535 after its colon")
    return Target(host, int(rest[1:]))


def _ipv6(text: str) -> str:
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        raise BadTarget("is no IPv6 address between its brackets") from None
    if address.scope_id is not None:
        raise BadTarget("has an IPv6 zone, which means something on one machine only")
    return str(address)


def _name(name: str) -> str:
    if not name:
        raise BadTarget("is empty")
    if name.endswith("."):
        raise BadTarget("ends in a dot; leave the dot out")
    labels = name.split(".")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise BadTarget("is not a host name of letters, digits, - and dots")
    if _NUMBER.fullmatch(labels[-1]):
        # Resolvers read `0x7f.1`, `017700000001` and `2130706433` as 127.0.0.1.
        try:
            return str(ipaddress.IPv4Address(name))
        except ValueError:
            raise BadTarget("is a number that is not an IPv4 address of four decimal parts") from None
    return name
