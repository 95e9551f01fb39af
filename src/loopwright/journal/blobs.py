"""Content by its hash: small text travels in the reference itself, the rest is compressed once and never changed.

A reference is only handed out when its content is durable, so an event that names a blob is never on disk before the blob.
"""

import contextlib
import hashlib
import os
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Set
from pathlib import Path
from typing import Final

import zstandard

from loopwright.errors import BlobCorrupt, BlobMissing, JournalError
from loopwright.journal.redact import Redactor
from loopwright.kernel.values import BlobRef

__all__ = ["INLINE_BYTES", "Blobs", "FileBlobs"]

INLINE_BYTES: Final = 2048
"""UTF-8 text up to this size is carried by the reference."""

ZSTD_LEVEL: Final = 3


class Blobs(ABC):
    """A blob store but for the place where compressed frames lie."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor

    def put(self, data: bytes, media_type: str = "text/plain", *, exact: bool = False) -> BlobRef:
        """Store `data` durably. Secrets are redacted first, unless `exact`; exact content that holds one is never inlined, because
        the journal redacts what it writes.

        Raises: `JournalError` when it cannot be stored.
        """
        if not exact:
            data = self._redactor.clean_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        text = _small_text(data)
        if text is not None and not (exact and self._redactor.clean(text) != text):
            return BlobRef(digest, len(data), media_type, inline=text)
        if not self._has(digest):
            self._write(digest, len(data), zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(data))
        return BlobRef(digest, len(data), media_type)

    def get(self, ref: BlobRef) -> bytes:
        """The bytes, checked against the hash. Raises: `BlobMissing`, `BlobCorrupt`."""
        data = self._frame(ref) if ref.inline is None else ref.inline.encode("utf-8", "surrogatepass")
        found = hashlib.sha256(data).hexdigest()
        if found != ref.sha256:
            raise _corrupt(ref, f"content with the hash {found}")
        return data

    def _frame(self, ref: BlobRef) -> bytes:
        frame = self._read(ref.sha256)
        if frame is None:
            raise BlobMissing(
                f"blob {ref.sha256} ({ref.size_bytes} bytes, {ref.media_type}): expected it in {self.place}, found nothing:"
                " restore it from a backup of that place"
            )
        try:
            # A damaged header may promise any size: nothing is allocated on its word.
            size = zstandard.frame_content_size(frame)
            if size != ref.size_bytes:
                raise _corrupt(ref, f"a frame of {size} bytes")
            return zstandard.ZstdDecompressor().decompress(frame)
        except zstandard.ZstdError as error:
            raise _corrupt(ref, f"no valid zstd frame ({error})") from None

    @property
    @abstractmethod
    def place(self) -> str:
        """Where the blobs lie, for error messages."""

    @abstractmethod
    def sweep(self, referenced: Set[str], *, older_than_s: int) -> tuple[int, int]:
        """Remove the blobs that are not `referenced` and were not put for `older_than_s`: a blob is written before the event that
        refers to it. Returns how many and how many bytes they took.
        """

    @abstractmethod
    def _has(self, digest: str) -> bool:
        """Whether it is there; then it counts as put now, so that no sweep takes it before its event is written."""

    @abstractmethod
    def _read(self, digest: str) -> bytes | None: ...

    @abstractmethod
    def _write(self, digest: str, size_bytes: int, frame: bytes) -> None: ...


def _small_text(data: bytes) -> str | None:
    if len(data) > INLINE_BYTES:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def _corrupt(ref: BlobRef, found: str) -> BlobCorrupt:
    return BlobCorrupt(
        f"blob {ref.sha256}: expected {ref.size_bytes} bytes with that hash, found {found}: restore it from a backup"
    )


class FileBlobs(Blobs):
    """One file a blob, `<root>/ab/abcd….zst`. Directories are made when the first blob needs them."""

    def __init__(self, root: Path, redactor: Redactor) -> None:
        super().__init__(redactor)
        self._root = root

    @property
    def place(self) -> str:
        return str(self._root)

    def _path(self, digest: str) -> Path:
        return self._root / digest[:2] / f"{digest}.zst"

    def sweep(self, referenced: Set[str], *, older_than_s: int) -> tuple[int, int]:
        oldest_s = time.time() - older_than_s
        count = size_bytes = 0
        for path in self._root.glob("??/*"):
            digest = path.name.removesuffix(".zst")
            with contextlib.suppress(FileNotFoundError):
                status = path.stat()
                # A leftover of an interrupted write has no digest for a name, so it is swept as well.
                if digest not in referenced and status.st_mtime <= oldest_s:
                    path.unlink()
                    count += 1
                    size_bytes += status.st_size
        return count, size_bytes

    def _has(self, digest: str) -> bool:
        try:
            os.utime(self._path(digest))
        except FileNotFoundError:
            return False
        return True

    def _read(self, digest: str) -> bytes | None:
        try:
            return self._path(digest).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise JournalError(
                f"blob {digest}: cannot be read from {self.place} ({error.strerror}): check the disk"
            ) from error

    def _write(self, digest: str, size_bytes: int, frame: bytes) -> None:
        path = self._path(digest)
        try:
            _make_durable_directory(path.parent)
            _write_durably(path, frame)
        except OSError as error:
            raise JournalError(
                f"blob of {size_bytes} bytes: cannot be written to {self.place} ({error.strerror}): free space or fix its permissions"
            ) from error


def _write_durably(path: Path, data: bytes) -> None:
    """All of it under its name, or nothing: also after a power cut."""
    descriptor, temporary = tempfile.mkstemp(prefix=".new-", dir=path.parent)
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    _sync_directory(path.parent)


def _make_durable_directory(path: Path) -> None:
    if path.is_dir():
        return
    _make_durable_directory(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
