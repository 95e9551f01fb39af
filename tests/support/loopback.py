"""Servers on loopback that stand for the world: plain or TLS, with a throw-away authority, recording what reached them."""

import asyncio
import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

__all__ = ["Authority", "Seen", "World", "answer", "resolver_of", "serving"]

_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


class Authority:
    """Signs certificates for any host; `client_tls` trusts it and nobody else."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        self._root = self._signed(self._name, self._key, x509.BasicConstraints(ca=True, path_length=0), None)

    def _signed(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, basic: x509.BasicConstraints, host: str | None
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(basic, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if basic.ca:
            usage = dict.fromkeys(_USAGES, False) | {"key_cert_sign": True, "crl_sign": True}
            builder = builder.add_extension(x509.KeyUsage(**usage), critical=True)
        if host is not None:
            try:
                name: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(host))
            except ValueError:
                name = x509.DNSName(host)
            builder = builder.add_extension(x509.SubjectAlternativeName([name]), critical=False)
        return builder.sign(self._key, hashes.SHA256())

    def server_tls(self, host: str) -> ssl.SSLContext:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test server")])
        certificate = self._signed(subject, key, x509.BasicConstraints(ca=False, path_length=None), host)
        path = self._folder / f"{host.replace(':', '_')}.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def client_tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cadata=self._root.public_bytes(serialization.Encoding.PEM).decode())


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as it came over the wire."""

    line: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


@dataclass(slots=True)
class World:
    port: int = 0
    seen: list[Seen] = field(default_factory=list)
    connections: int = 0


def answer(status: str = "200 OK", body: bytes = b"hello", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


@asynccontextmanager
async def serving(reply: Callable[[Seen], bytes | None], tls: ssl.SSLContext | None = None) -> AsyncIterator[World]:
    """A server on a free port of 127.0.0.1 that answers one request a connection; `None` = it never answers."""
    world = World()
    open_ends: set[asyncio.StreamWriter] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        world.connections += 1
        open_ends.add(writer)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = tuple((n, v.strip()) for n, _, v in (line.partition(":") for line in head[1:] if line))
            size = next((int(v) for n, v in headers if n.lower() == "content-length"), 0)
            seen = Seen(head[0], headers, await reader.readexactly(size))
            world.seen.append(seen)
            data = reply(seen)
            if data is None:
                await reader.read()
            else:
                writer.write(data)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass
        finally:
            open_ends.discard(writer)
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=tls)
    world.port = server.sockets[0].getsockname()[1]
    try:
        yield world
    finally:
        server.close()
        for writer in list(open_ends):
            writer.transport.abort()
        await asyncio.sleep(0)


def resolver_of(*answers: Sequence[str]) -> tuple[Callable[[str, int], "asyncio.Future[Sequence[str]]"], list[str]]:
    """A resolver that gives `answers` one after the other, the last for ever, and the hosts that it was asked for."""
    asked: list[str] = []

    def look_up(host: str, port: int) -> "asyncio.Future[Sequence[str]]":
        asked.append(host)
        future: asyncio.Future[Sequence[str]] = asyncio.get_running_loop().create_future()
        future.set_result(answers[min(len(asked), len(answers)) - 1])
        return future

    return look_up, asked
