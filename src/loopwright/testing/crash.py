"""A journal that kills its own process at a chosen append: power goes out exactly there."""

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Literal

from loopwright.journal.protocol import BlobStore, Head, Journal, Lease
from loopwright.kernel.events import Body, Event

__all__ = ["CrashingJournal"]


class CrashingJournal:
    """Wraps a journal. At append number `crash_at` (from 1) the process gets SIGKILL, `before` the commit or `after` it."""

    def __init__(self, inner: Journal, crash_at: int, when: Literal["before", "after"]) -> None:
        self._inner = inner
        self._crash_at = crash_at
        self._when = when
        self._appends = 0

    @property
    def blobs(self) -> BlobStore:
        return self._inner.blobs

    def append(
        self, run_id: str, bodies: Sequence[Body], *, expect_seq: int, at_ms: int | Sequence[int] | None = None
    ) -> list[Event]:
        self._appends += 1
        if self._appends == self._crash_at and self._when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        events = self._inner.append(run_id, bodies, expect_seq=expect_seq, at_ms=at_ms)
        if self._appends == self._crash_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return events

    def read(self, run_id: str, after: int = 0) -> Iterator[Event]:
        return self._inner.read(run_id, after)

    def raw(self, run_id: str) -> Iterator[tuple[int, bytes, str]]:
        return self._inner.raw(run_id)

    def head(self, run_id: str) -> Head | None:
        return self._inner.head(run_id)

    def heads(self) -> list[Head]:
        return self._inner.heads()

    def lease(self, run_id: str) -> AbstractContextManager[Lease]:
        return self._inner.lease(run_id)

    def close(self) -> None:
        self._inner.close()
