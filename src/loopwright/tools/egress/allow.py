"""Which hosts may be reached, and at which address: the name is looked up once, and what was checked is what is connected to."""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from loopwright.errors import UsageError
from loopwright.secrets.target import BadTarget, Target, parse_target
from loopwright.tools.egress.addresses import inside
from loopwright.tools.egress.errors import EgressRefused

__all__ = ["EgressList", "Resolver", "resolve"]

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a host, as text. Raises: `OSError` when it has none."""


async def resolve(host: str, port: int) -> Sequence[str]:
    """By the system's resolver."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[4][0]) for address in found))


@dataclass(frozen=True, slots=True)
class EgressList:
    """Exact targets. A bare name means port 443; addresses that are not public must be in it themselves, with their port."""

    targets: frozenset[Target] = frozenset()

    @classmethod
    def of(cls, hosts: Sequence[str]) -> "EgressList":
        """From the words of a grant: `api.example.com`, `api.example.com:8443`, `127.0.0.1:8080`. Raises: `UsageError`."""
        targets = set()
        for host in hosts:
            try:
                targets.add(parse_target(host))
            except BadTarget as error:
                raise UsageError(
                    f"host {host!r}: expected an exact name, host:port or address:port, found one that {error}"
                ) from None
        return cls(frozenset(targets))

    def check(self, scheme: str, target: Target) -> None:
        """Raises: `EgressRefused` unless the target is granted, and over https; plain http only on this machine's loopback."""
        if target not in self.targets:
            granted = ", ".join(sorted(map(str, self.targets))) or "none"
            raise EgressRefused(
                "egress.host",
                f"host {str(target)!r}: not granted (granted: {granted})",
                f"add {str(target)!r} to the granted hosts",
            )
        address = target.address
        if scheme != "https" and (address is None or not address.is_loopback):
            raise EgressRefused(
                "egress.https",
                f"host {str(target)!r}: expected https, found {scheme!r}; plain http is for granted loopback addresses only",
                "use an https URL",
            )

    def check_addresses(self, target: Target, addresses: Sequence[str]) -> tuple[str, ...]:
        """`addresses`, all of them fit to connect to. Raises: `EgressRefused` when one is not: a name that also leads inside is hostile."""
        if not addresses:
            raise OSError(f"host {target.host!r}: it has no address")
        for text in addresses:
            try:
                address = ipaddress.ip_address(text)
            except ValueError:
                raise EgressRefused(
                    "egress.address",
                    f"host {str(target)!r}: its address {text!r} cannot be read",
                    "grant a host with plain addresses",
                ) from None
            reason = inside(address)
            literal = Target(str(address), target.port)
            if reason is not None and (literal not in self.targets or reason in ("multicast", "unspecified")):
                raise EgressRefused(
                    "egress.address",
                    f"host {str(target)!r}: it resolves to {address}, which is {reason}",
                    f"grant {str(literal)!r} as well, if it is meant to be reached",
                )
        return tuple(addresses)

    async def pinned(self, target: Target, resolver: Resolver) -> tuple[str, ...]:
        """The addresses to connect to, from one resolution. Raises: `EgressRefused`, `OSError` when the name has none."""
        literal = target.address
        found = (str(literal),) if literal is not None else tuple(await resolver(target.host, target.port))
        return self.check_addresses(target, found)
