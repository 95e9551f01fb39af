"""What the stores have in common: how bodies become sealed events on top of a head, and how stored rows become events again.

Nothing here does I/O. A stored row is `(seq, canonical bytes, digest)`.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

from loopwright.errors import JournalCorrupt, StaleWriter
from loopwright.journal.codec import decode, digest_of, encode, encode_bodies, encode_text, without_surrogates
from loopwright.journal.protocol import Head
from loopwright.journal.redact import Redactor
from loopwright.kernel.events import Body, Event

__all__ = ["Row", "open_stream", "seal", "stale"]

Row = tuple[int, bytes, str]


def seal(
    run_id: str, bodies: Sequence[Body], head: Head | None, at_ms: int | Sequence[int], redactor: Redactor
) -> tuple[list[Event], list[Row], Head]:
    """The events that follow `head`, their rows, and the new head. Secrets and lone surrogates are gone from what comes back.

    `bodies` is not empty; `at_ms` is one time for all or one for each. Time never goes backwards in a stream: an event is at
    least as late as the one before it.
    """
    times = [at_ms] * len(bodies) if isinstance(at_ms, int) else at_ms
    seq, prev, now = (0, "", times[0]) if head is None else (head.seq, head.digest, head.last_at_ms)
    first_at_ms = now if head is None else head.first_at_ms
    bodies, texts = _clean(bodies, redactor)
    name = encode_text(run_id)
    events: list[Event] = []
    rows: list[Row] = []
    for body, text, at in zip(bodies, texts, times, strict=True):
        seq += 1
        if at > now:
            now = at
        data = encode(name, seq, now, prev, text)
        digest = digest_of(data)
        events.append(Event(run_id, seq, now, prev, body, digest))
        rows.append((seq, data, digest))
        prev = digest
    return events, rows, Head(run_id, seq, prev, first_at_ms, now)


def _clean(bodies: Sequence[Body], redactor: Redactor) -> tuple[Sequence[Body], list[bytes]]:
    """The bodies as they may be written, and their canonical bytes."""
    try:
        texts = encode_bodies(bodies)
    except UnicodeEncodeError:
        bodies = [without_surrogates(body) for body in bodies]
        texts = encode_bodies(bodies)
    # One look at all of them: nearly always there is nothing to hide.
    if redactor.hits(b"\n".join(texts)):
        bodies = [redactor.clean_body(body) for body in bodies]
        texts = encode_bodies(bodies)
    return bodies, texts


class Rows(Protocol):
    """What a store must tell for its streams to be read."""

    def head(self, run_id: str) -> Head | None: ...

    def rows(self, run_id: str, after: int) -> Iterator[Row]: ...


def open_stream(store: Rows, run_id: str, after: int) -> Iterator[Event]:
    """The events with `seq > after`; each is checked against its digest, its place and the event before it.

    Raises: `JournalCorrupt` at the first event that does not fit, or where the stream ends before its head; `JournalTooNew`.
    """
    head = store.head(run_id)
    until = 0 if head is None else head.seq
    seq, prev = max(after, 0), ""
    rows = store.rows(run_id, max(seq - 1, 0))
    if seq > 0:
        # The event before the first one that is wanted, for its digest.
        anchor = next(rows, None)
        if anchor is None or anchor[0] != seq:
            if until < seq:
                return
            raise _corrupt(run_id, seq, "it is missing")
        prev = anchor[2]
    for at, data, digest in rows:
        seq += 1
        if at != seq:
            raise _corrupt(run_id, seq, f"found event {at} in its place")
        if digest_of(data) != digest:
            raise _corrupt(run_id, seq, "its bytes do not match its digest")
        try:
            event = decode(data, digest)
        except JournalCorrupt as error:
            raise _corrupt(run_id, seq, str(error)) from None
        if event.seq != seq or event.run_id != run_id:
            raise _corrupt(run_id, seq, f"it says of itself that it is event {event.seq} of {event.run_id!r}")
        if event.prev != prev:
            raise _corrupt(run_id, seq, "it does not follow the event before it")
        prev = digest
        yield event
    if seq < until:
        raise _corrupt(run_id, seq + 1, f"it is missing, and the run's head is {until}")


def _corrupt(run_id: str, seq: int, found: str) -> JournalCorrupt:
    return JournalCorrupt(
        f"run {run_id!r} event {seq}: expected an unbroken chain, {found}: see `loopwright audit verify {run_id}`"
    )


def stale(run_id: str, expect_seq: int, head: Head | None) -> StaleWriter:
    """The error for a writer whose idea of the head is out of date."""
    at = 0 if head is None else head.seq
    return StaleWriter(
        f"run {run_id!r}: expected its head at {expect_seq}, found {at}: another process wrote, read the run again"
    )
