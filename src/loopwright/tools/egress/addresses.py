"""Which addresses are the public internet and which lead back to us. Pure."""

import ipaddress
from typing import Final

from loopwright.secrets.target import Address

__all__ = ["inside"]

_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_PUBLIC_V6: Final = ipaddress.IPv6Network("2000::/3")
_CLOUD: Final = (ipaddress.IPv4Address("168.63.129.16"),)
"""Public by number, but answered by the cloud host that we run on."""
_RELAYS: Final = (
    ipaddress.IPv4Network("192.88.99.0/24"),
    ipaddress.IPv6Network("2002::/16"),
    ipaddress.IPv6Network("2001::/32"),
)
"""6to4 and Teredo carry an IPv4 address inside, which nobody checks."""


def inside(address: Address) -> str | None:
    """Why `address` is not the public internet (`loopback`, `private`, …); `None` when it is."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            return "link-local"
        if address.ipv4_mapped is not None:
            return inside(address.ipv4_mapped)
        if address in _NAT64:
            return inside(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    if address.is_unspecified:
        return "unspecified"
    if address.is_loopback:
        return "loopback"
    if address.is_link_local or address in _CLOUD:
        return "link-local or cloud metadata"
    if address.is_multicast:
        return "multicast"
    if any(address.version == net.version and address in net for net in _RELAYS):
        return "a tunnel"
    if not address.is_global or address.is_reserved:
        return "private or reserved"
    if isinstance(address, ipaddress.IPv6Address) and address not in _PUBLIC_V6:
        return "private or reserved"
    return None
