"""What a journal is: append-only, per run in order, refused to a stale writer. Both stores pass one test suite."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from loopwright.kernel.events import Body, Event
from loopwright.kernel.values import BlobRef, Value

__all__ = ["BlobStore", "Head", "Journal", "Lease"]


class Head(Value, frozen=True):
    """The last event of a stream and when it was first and last written."""

    run_id: str
    seq: int
    digest: str
    first_at_ms: int
    last_at_ms: int


class Lease(Protocol):
    """Held while a process drives a run; lost when the process dies, however it dies."""

    def still_held(self) -> bool: ...


class BlobStore(Protocol):
    def put(self, data: bytes, media_type: str = "text/plain", *, exact: bool = False) -> BlobRef:
        """Store `data` durably and return its reference; small UTF-8 text is carried inline.

        Secrets are redacted first, unless `exact`: file contents of a proposal must come back byte for byte.
        """
        ...

    def get(self, ref: BlobRef) -> bytes:
        """The bytes. Raises: `BlobMissing`, `BlobCorrupt`."""
        ...


class Journal(Protocol):
    @property
    def blobs(self) -> BlobStore: ...

    def append(
        self, run_id: str, bodies: Sequence[Body], *, expect_seq: int, at_ms: int | Sequence[int] | None = None
    ) -> list[Event]:
        """Append all or nothing in one durable commit; the first gets `expect_seq + 1`. An empty run has seq 0.

        `at_ms` is the time that the writer decided by, one for all or one for each (`None` = the journal's clock); within a run it
        never goes backwards.

        Raises: `StaleWriter` when the stream's head is not `expect_seq`.
        """
        ...

    def read(self, run_id: str, after: int = 0) -> Iterator[Event]:
        """The events with `seq > after`, in order; upcast to the present schema. Raises: `JournalCorrupt`, `JournalTooNew`."""
        ...

    def raw(self, run_id: str) -> Iterator[tuple[int, bytes, str]]:
        """`(seq, canonical bytes, digest)` exactly as stored, for `audit verify`; nothing is decoded or checked."""
        ...

    def head(self, run_id: str) -> Head | None:
        """`None` for a run without events."""
        ...

    def heads(self) -> list[Head]:
        """All streams, oldest first."""
        ...

    def lease(self, run_id: str) -> AbstractContextManager[Lease]:
        """The right to drive the run. Raises: `RunBusy` when another process has it."""
        ...

    def close(self) -> None: ...
