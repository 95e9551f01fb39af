"""A journal in memory: the protocol's semantics without a disk. Not durable by nature, so for tests and simulations only."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from loopwright.errors import BlobMissing, RunBusy, StaleWriter
from loopwright.journal.codec import digest_of, encode, encode_bodies, encode_text
from loopwright.journal.protocol import Head
from loopwright.kernel.events import Body, Event
from loopwright.kernel.values import BlobRef
from loopwright.testing.clock import FakeClock

__all__ = ["MemoryBlobs", "MemoryJournal"]


class MemoryBlobs:
    def __init__(self) -> None:
        self._data: dict[str, bytes] = {}

    def put(self, data: bytes, media_type: str = "text/plain", *, exact: bool = False) -> BlobRef:
        sha256 = hashlib.sha256(data).hexdigest()
        self._data[sha256] = data
        return BlobRef(sha256, len(data), media_type)

    def get(self, ref: BlobRef) -> bytes:
        if ref.inline is not None:
            return ref.inline.encode()
        if ref.sha256 not in self._data:
            raise BlobMissing(f"blob {ref.sha256[:12]}: expected in memory, found nothing")
        return self._data[ref.sha256]


class _Held:
    def still_held(self) -> bool:
        return True


class MemoryJournal:
    def __init__(self, now_ms: FakeClock | None = None) -> None:
        self._events: dict[str, list[Event]] = {}
        self._held: set[str] = set()
        self._now_ms = now_ms or FakeClock()
        self._blobs = MemoryBlobs()

    @property
    def blobs(self) -> MemoryBlobs:
        return self._blobs

    def append(
        self, run_id: str, bodies: Sequence[Body], *, expect_seq: int, at_ms: int | Sequence[int] | None = None
    ) -> list[Event]:
        stream = self._events.setdefault(run_id, [])
        if len(stream) != expect_seq:
            raise StaleWriter(f"run {run_id!r}: expected its head at {expect_seq}, found {len(stream)}")
        fresh: list[Event] = []
        now_ms = self._now_ms() if at_ms is None else at_ms
        times = [now_ms] * len(bodies) if isinstance(now_ms, int) else now_ms
        for body, wished_ms in zip(bodies, times, strict=True):
            last = fresh[-1] if fresh else (stream[-1] if stream else None)
            at = wished_ms if last is None else max(wished_ms, last.at_ms)
            prev = "" if last is None else last.digest
            seq = 1 if last is None else last.seq + 1
            digest = digest_of(_canonical(run_id, seq, at, prev, body))
            fresh.append(Event(run_id, seq, at, prev, body, digest))
        stream.extend(fresh)
        return fresh

    def read(self, run_id: str, after: int = 0) -> Iterator[Event]:
        yield from self._events.get(run_id, [])[after:]

    def raw(self, run_id: str) -> Iterator[tuple[int, bytes, str]]:
        for event in self._events.get(run_id, []):
            yield event.seq, _canonical(run_id, event.seq, event.at_ms, event.prev, event.body), event.digest

    def head(self, run_id: str) -> Head | None:
        stream = self._events.get(run_id)
        if not stream:
            return None
        return Head(run_id, stream[-1].seq, stream[-1].digest, stream[0].at_ms, stream[-1].at_ms)

    def heads(self) -> list[Head]:
        found = [head for run_id in self._events if (head := self.head(run_id)) is not None]
        return sorted(found, key=lambda head: head.first_at_ms)

    @contextmanager
    def lease(self, run_id: str) -> Iterator[_Held]:
        if run_id in self._held:
            raise RunBusy(f"run {run_id!r}: another driver of this process has it")
        self._held.add(run_id)
        try:
            yield _Held()
        finally:
            self._held.discard(run_id)

    def close(self) -> None:
        pass


def _canonical(run_id: str, seq: int, at_ms: int, prev: str, body: Body) -> bytes:
    return encode(encode_text(run_id), seq, at_ms, prev, encode_bodies([body])[0])
