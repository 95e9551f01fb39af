"""A journal in front of another one; subclasses change what they are about and hand on the rest."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager

from loopwright.journal.protocol import BlobStore, Head, Journal, Lease
from loopwright.kernel.events import Body, Event

__all__ = ["ForwardingJournal"]


class ForwardingJournal:
    def __init__(self, inner: Journal) -> None:
        self.inner = inner

    @property
    def blobs(self) -> BlobStore:
        return self.inner.blobs

    def append(
        self, run_id: str, bodies: Sequence[Body], *, expect_seq: int, at_ms: int | Sequence[int] | None = None
    ) -> list[Event]:
        return self.inner.append(run_id, bodies, expect_seq=expect_seq, at_ms=at_ms)

    def read(self, run_id: str, after: int = 0) -> Iterator[Event]:
        return self.inner.read(run_id, after)

    def raw(self, run_id: str) -> Iterator[tuple[int, bytes, str]]:
        return self.inner.raw(run_id)

    def head(self, run_id: str) -> Head | None:
        return self.inner.head(run_id)

    def heads(self) -> list[Head]:
        return self.inner.heads()

    def lease(self, run_id: str) -> AbstractContextManager[Lease]:
        return self.inner.lease(run_id)

    def close(self) -> None:
        self.inner.close()
