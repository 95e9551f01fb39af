"""The server name in a TLS ClientHello, read without touching the encryption. Pure. Format: RFC 8446 section 4.1.2, RFC 6066 section 3."""

from typing import Final

__all__ = ["HELLO_MAX_BYTES", "NotTls", "hello_length", "server_name"]

HELLO_MAX_BYTES: Final = 16 << 10
_RECORD_HEAD: Final = 5
_HANDSHAKE: Final = 22
_CLIENT_HELLO: Final = 1
_SERVER_NAME: Final = 0


class NotTls(ValueError):
    """What a client sent first is no ClientHello."""


def hello_length(head: bytes) -> int:
    """How many bytes the first record has in all, from its first five. Raises: `NotTls`."""
    if len(head) < _RECORD_HEAD or head[0] != _HANDSHAKE or head[1] != 3:
        raise NotTls("the first bytes are no TLS handshake")
    length = _RECORD_HEAD + int.from_bytes(head[3:5], "big")
    if length > HELLO_MAX_BYTES + _RECORD_HEAD:
        raise NotTls("the first TLS record is too long")
    return length


def server_name(record: bytes) -> str | None:
    """The one server name of a ClientHello in a single record, as it stands there; `None` without one. Raises: `NotTls`."""
    try:
        return _name(_Bytes(record[_RECORD_HEAD:]))
    except (IndexError, UnicodeDecodeError):
        raise NotTls("the ClientHello is broken or split") from None


class _Bytes:
    """Reads from the front; an `IndexError` where there is not enough."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def take(self, count: int) -> bytes:
        if count > len(self.data):
            raise IndexError(count)
        taken, self.data = self.data[:count], self.data[count:]
        return taken

    def sized(self, size_bytes: int) -> "_Bytes":
        return _Bytes(self.take(int.from_bytes(self.take(size_bytes), "big")))


def _name(hello: _Bytes) -> str | None:
    if hello.take(1)[0] != _CLIENT_HELLO:
        raise NotTls("the first TLS message is no ClientHello")
    body = hello.sized(3)
    body.take(2 + 32)  # version, random
    body.sized(1)  # session
    body.sized(2)  # cipher suites
    body.sized(1)  # compression
    if not body.data:
        return None
    extensions = body.sized(2)
    names: list[str] = []
    while extensions.data:
        kind = int.from_bytes(extensions.take(2), "big")
        content = extensions.sized(2)
        if kind == _SERVER_NAME:
            entries = content.sized(2)
            while entries.data:
                entries.take(1)  # host_name, the only type there is
                names.append(entries.sized(2).data.decode("ascii"))
    if len(names) > 1:
        raise NotTls("the ClientHello has several server names")
    return names[0] if names else None
