"""Values that can be erased from a log of which nothing can be erased.

The log gets a salted hash: a `BlobRef` that carries a small envelope with a random id and a commitment, SHA-256 over a random salt
and the value. Beside it, outside the blob store, lie the ciphertext (ChaCha20-Poly1305 over salt and value) and, in another folder,
its own key. Erasing destroys the key first, then the ciphertext: the salt is gone with them, so that not even a guess at the value
can be checked against the log, and chain, checkpoints and exports still verify.
"""

import contextlib
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

import msgspec

from loopwright.errors import BlobCorrupt, BlobMissing, JournalError
from loopwright.journal.redact import Redactor
from loopwright.kernel.values import BlobRef, Value

__all__ = ["MEDIA_TYPE", "Envelope", "ErasableStore", "Erasure", "Status", "envelope_of", "is_erasable"]

MEDIA_TYPE: Final = "application/vnd.loopwright.erasable+json"
Status = Literal["present", "erased", "missing", "corrupt"]

_DOMAIN: Final = b"loopwright erasable value\x00"
_SALT_BYTES: Final = 32
_NONCE_BYTES: Final = 12


class Envelope(Value, frozen=True):
    """What stands in the log. `commitment` is the salted hash in hex; `media_type` is that of the value; its size is not told."""

    commitment: str
    id: str
    media_type: str


class Erasure(Value, frozen=True):
    """What is kept of an erased value: who erased it, when and why."""

    id: str
    at_ms: int
    by: str
    why: str


def is_erasable(ref: BlobRef) -> bool:
    """Whether `ref` is the reference of an erasable value."""
    return ref.media_type == MEDIA_TYPE


def envelope_of(ref: BlobRef) -> Envelope:
    """The envelope that `ref` carries. Raises: `BlobCorrupt` when it carries none."""
    try:
        envelope = msgspec.json.decode((ref.inline or "").encode("utf-8", "surrogatepass"), type=Envelope)
    except msgspec.DecodeError as error:
        raise BlobCorrupt(
            f"erasable value {ref.sha256[:12]}: expected an envelope in its reference, found {error}"
        ) from None
    if not is_erasable(ref) or _reference(envelope) != ref or not _is_id(envelope.id):
        raise BlobCorrupt(f"erasable value {ref.sha256[:12]}: its envelope does not fit its reference: it was changed")
    return envelope


class ErasableStore:
    """Ciphertexts in the folder `values`, keys in the folder `keys`; both are made when the first value needs them.

    Keep backups of `values` if you like, never of `keys`: an erased key must be gone.
    """

    def __init__(
        self,
        values: Path,
        keys: Path,
        redactor: Redactor,
        *,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._values = values
        self._keys = keys
        self._redactor = redactor
        self._random_bytes = random_bytes

    def put(self, data: bytes, media_type: str = "text/plain") -> BlobRef:
        """Store `data` durably, secrets redacted, and return the reference for the log. Raises: `JournalError`."""
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

        data = self._redactor.clean_bytes(data)
        salt, key, nonce = self._random_bytes(_SALT_BYTES), self._random_bytes(32), self._random_bytes(_NONCE_BYTES)
        envelope = Envelope(_commitment(salt, data), self._random_bytes(16).hex(), media_type)
        sealed = ChaCha20Poly1305(key).encrypt(nonce, salt + data, _associated(envelope))
        try:
            _write(self._keys / f"{envelope.id}.key", key)
            _write(self._values / f"{envelope.id}.value", nonce + sealed)
        except OSError as error:
            raise self._failed("stored", error) from error
        return _reference(envelope)

    def get(self, ref: BlobRef) -> bytes:
        """The value. Raises: `BlobMissing` when it was erased or lost, `BlobCorrupt` when it is not the one that was logged."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

        envelope = envelope_of(ref)
        erasure = self.erasure(ref)
        if erasure is not None:
            raise BlobMissing(f"erasable value {envelope.id}: it was erased by {erasure.by!r} ({erasure.why})")
        key, stored = self._read(self._keys / f"{envelope.id}.key"), self._read(self._values / f"{envelope.id}.value")
        if key is None or stored is None:
            gone = "key" if key is None else "ciphertext"
            raise BlobMissing(f"erasable value {envelope.id}: its {gone} is gone, and nobody recorded an erasure")
        try:
            plain = ChaCha20Poly1305(key).decrypt(stored[:_NONCE_BYTES], stored[_NONCE_BYTES:], _associated(envelope))
        except (InvalidTag, ValueError):
            raise BlobCorrupt(
                f"erasable value {envelope.id}: key and ciphertext do not fit together: restore a backup"
            ) from None
        salt, data = plain[:_SALT_BYTES], plain[_SALT_BYTES:]
        # A ciphertext can be made to open to another value under another key; the commitment in the log cannot.
        if _commitment(salt, data) != envelope.commitment:
            raise BlobCorrupt(f"erasable value {envelope.id}: it is not the value that was logged: it was replaced")
        return data

    def status(self, ref: BlobRef) -> Status:
        """What `audit verify` says of it."""
        try:
            self.get(ref)
        except BlobMissing:
            return "erased" if self.erasure(ref) is not None else "missing"
        except BlobCorrupt:
            return "corrupt"
        return "present"

    def erase(self, ref: BlobRef, *, by: str, why: str, at_ms: int) -> Erasure:
        """Destroy the value for ever; a second call changes nothing. Returns the record of the first.

        Raises: `BlobMissing` for a value that was never here, `JournalError` when it could not be destroyed.
        """
        envelope = envelope_of(ref)
        key, value = self._keys / f"{envelope.id}.key", self._values / f"{envelope.id}.value"
        erasure = self.erasure(ref)
        try:
            if erasure is None:
                if not key.exists() and not value.exists():
                    raise BlobMissing(
                        f"erasable value {envelope.id}: expected its key or ciphertext here, found neither"
                    )
                erasure = Erasure(envelope.id, at_ms, by, why)
                # The record comes first: after a crash in between, the value counts as erased and the next call ends the work.
                _write(self._values / f"{envelope.id}.erased", msgspec.json.encode(erasure))
            for path in (key, value):
                _destroy(path)
        except OSError as error:
            raise self._failed("erased", error) from error
        return erasure

    def erasure(self, ref: BlobRef) -> Erasure | None:
        """The record of its erasure; `None` when it was not erased. Raises: `BlobCorrupt`."""
        envelope = envelope_of(ref)
        data = self._read(self._values / f"{envelope.id}.erased")
        if data is None:
            return None
        try:
            return msgspec.json.decode(data, type=Erasure)
        except msgspec.DecodeError as error:
            raise BlobCorrupt(f"erasable value {envelope.id}: its record of erasure cannot be read ({error})") from None

    def _read(self, path: Path) -> bytes | None:
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._failed("read", error) from error

    def _failed(self, what: str, error: OSError) -> JournalError:
        return JournalError(
            f"erasable value: cannot be {what} in {str(self._values)!r} and {str(self._keys)!r} ({error.strerror}): make both"
            " folders writable"
        )


def _reference(envelope: Envelope) -> BlobRef:
    data = msgspec.json.encode(envelope, order="sorted")
    return BlobRef(hashlib.sha256(data).hexdigest(), len(data), MEDIA_TYPE, inline=data.decode())


def _commitment(salt: bytes, data: bytes) -> str:
    return hashlib.sha256(_DOMAIN + salt + data).hexdigest()


def _associated(envelope: Envelope) -> bytes:
    # Not the commitment: then the check of the value itself would never be reached, and a test could not show that it works.
    return _DOMAIN + envelope.id.encode()


def _is_id(text: str) -> bool:
    # It becomes a file's name.
    return len(text) == 32 and all(char in "0123456789abcdef" for char in text)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)
    os.replace(part, path)
    _sync(path.parent)


def _destroy(path: Path) -> None:
    """Overwritten, then removed. On a disk that copies on write the old block may live on: that is why the key is the thing."""
    with contextlib.suppress(FileNotFoundError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        with open(descriptor, "wb") as file:
            file.write(bytes(os.fstat(descriptor).st_size))
            file.flush()
            os.fsync(descriptor)
        os.unlink(path)
        _sync(path.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
