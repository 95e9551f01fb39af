"""Signed notes as C2SP describes them (c2sp.org/signed-note), with Ed25519 signatures only.

A note is text that ends in a newline, an empty line, and signature lines `— <name> <base64 of key id and signature>`. The key id
is the first four bytes of SHA-256 over the key's name, a newline, the type 0x01 and the public key. Parsing is strict: what is not
exactly of this form is refused, and a note counts only with a good signature by a key that the reader already holds.
"""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from loopwright.errors import JournalCorrupt, UsageError

__all__ = ["NoteKey", "SigningKey", "make_key", "open_note", "parse_key", "parse_signing_key", "sign_note"]

ED25519: Final = b"\x01"
_DASH: Final = "— "
_MAX_NOTE_CHARS: Final = 16 << 20
_MAX_SIGNATURES: Final = 100


@dataclass(frozen=True, slots=True)
class NoteKey:
    """The public half: enough to verify. `text` is the form that is handed out, `<name>+<key id>+<base64>`."""

    name: str
    public: bytes

    @property
    def key_id(self) -> bytes:
        return hashlib.sha256(self.name.encode() + b"\n" + ED25519 + self.public).digest()[:4]

    @property
    def text(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{_base64(ED25519 + self.public)}"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """The private half, 32 bytes; never shown in a traceback or log."""

    name: str
    seed: bytes = field(repr=False)

    @property
    def verifier(self) -> NoteKey:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return NoteKey(self.name, Ed25519PrivateKey.from_private_bytes(self.seed).public_key().public_bytes_raw())

    @property
    def text(self) -> str:
        """The form in which it is kept in a file of mode 0600."""
        return f"PRIVATE+KEY+{self.name}+{self.verifier.key_id.hex()}+{_base64(ED25519 + self.seed)}"


def make_key(name: str, seed: bytes) -> SigningKey:
    """The key of this name over 32 random bytes. Raises: `UsageError` for a name that no note can carry."""
    if not _is_name(name):
        raise UsageError(
            f"note key name {name!r}: expected text without spaces and '+': choose one such as 'host.example/loopwright'"
        )
    if len(seed) != 32:
        raise UsageError(f"note key {name!r}: expected 32 random bytes, found {len(seed)}")
    return SigningKey(name, seed)


def parse_key(text: str) -> NoteKey:
    """The public key that was handed out as `text`. Raises: `UsageError`."""
    name, _, rest = text.strip().partition("+")
    stated, _, encoded = rest.partition("+")
    key = NoteKey(name, _key_bytes(encoded, "public key"))
    if not _is_name(name) or key.key_id.hex() != stated:
        raise UsageError(
            f"public key {text.strip()[:80]!r}: expected <name>+<key id>+<base64> with the id of that key: copy it again"
        )
    return key


def parse_signing_key(text: str) -> SigningKey:
    """The private key of a key file. Raises: `UsageError`, never with a part of the key in it."""
    head, _, rest = text.strip().partition("PRIVATE+KEY+")
    name, _, rest = rest.partition("+")
    stated, _, encoded = rest.partition("+")
    if head or not _is_name(name):
        raise UsageError("private key: expected PRIVATE+KEY+<name>+<key id>+<base64>, found something else")
    key = SigningKey(name, _key_bytes(encoded, "private key"))
    if key.verifier.key_id.hex() != stated:
        raise UsageError(f"private key {name!r}: expected the key id {key.verifier.key_id.hex()}, found another")
    return key


def sign_note(text: str, key: SigningKey) -> str:
    """`text` as a note signed by `key`. Raises: `UsageError` for a text that a note cannot carry."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if not _is_note_text(text):
        raise UsageError(
            "note text: expected valid text that ends in a newline, without other control characters, found none such"
        )
    signature = Ed25519PrivateKey.from_private_bytes(key.seed).sign(text.encode())
    return f"{text}\n{_DASH}{key.name} {_base64(key.verifier.key_id + signature)}\n"


def open_note(note: str, keys: Sequence[NoteKey]) -> str:
    """The text of `note`, once a key of `keys` has a good signature on it. Signatures by other keys are passed over.

    Raises: `JournalCorrupt` when it is not a signed note, when a known key's signature is bad, or when no known key signed it.
    """
    text, signatures = _split(note)
    known = {(key.name, key.key_id): key for key in keys}
    verified: set[tuple[str, bytes]] = set()
    for name, key_id, signature in signatures:
        key = known.get((name, key_id))
        if key is None:
            continue
        if (name, key_id) in verified:
            raise JournalCorrupt(f"signed note: two signatures by {name!r}: expected one a key")
        if not _is_good(key, signature, text):
            raise JournalCorrupt(
                f"signed note: the signature of {name!r} (key {key_id.hex()}) does not fit the text: it was changed"
            )
        verified.add((name, key_id))
    if not verified:
        expected = ", ".join(f"{key.name!r} ({key.key_id.hex()})" for key in keys) or "no key at all"
        found = ", ".join(f"{name!r} ({key_id.hex()})" for name, key_id, _ in signatures)
        raise JournalCorrupt(f"signed note: expected a signature by {expected}, found {found}")
    return text


def _is_good(key: NoteKey, signature: bytes, text: str) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(signature, text.encode())
    except InvalidSignature:
        return False
    return True


def _split(note: str) -> tuple[str, list[tuple[str, bytes, bytes]]]:
    if len(note) > _MAX_NOTE_CHARS or not _is_note_text(note):
        raise JournalCorrupt("signed note: expected text that ends in a newline, without other control characters")
    at = note.rfind("\n\n")
    if at < 0:
        raise JournalCorrupt("signed note: expected an empty line before its signatures, found none")
    text, lines = note[: at + 1], note[at + 2 :].split("\n")[:-1]
    if not lines or len(lines) > _MAX_SIGNATURES:
        raise JournalCorrupt(f"signed note: expected 1 to {_MAX_SIGNATURES} signatures, found {len(lines)}")
    return text, [_signature(line) for line in lines]


def _signature(line: str) -> tuple[str, bytes, bytes]:
    name, _, encoded = line.removeprefix(_DASH).partition(" ")
    data = _from_base64(encoded)
    if not line.startswith(_DASH) or not _is_name(name) or data is None or len(data) < 5:
        raise JournalCorrupt(f"signed note: expected a signature line '— <name> <base64>', found {line[:60]!r}")
    return name, data[:4], data[4:]


def _is_note_text(text: str) -> bool:
    if not text.endswith("\n") or any(ord(char) < 0x20 and char != "\n" for char in text):
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_name(name: str) -> bool:
    return bool(name) and "+" not in name and not any(char.isspace() or ord(char) < 0x20 for char in name)


def _key_bytes(encoded: str, what: str) -> bytes:
    data = _from_base64(encoded)
    if data is None or len(data) != 33 or data[:1] != ED25519:
        raise UsageError(f"{what}: expected base64 of the type 0x01 and 32 bytes, found something else: copy it again")
    return data[1:]


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _from_base64(text: str) -> bytes | None:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    # One text for one value: unused bits at the end must be zero.
    return data if _base64(data) == text else None
