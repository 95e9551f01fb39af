"""Recompute a stream's hash chain from what is stored, and name the first event that does not fit.

Each event holds the digest of the one before it, and the head holds the digest of the last: nothing can be changed, left out,
put in or cut off without a link that does not close. Only a rewrite of every later event and of the head stays unseen here.
"""

from collections.abc import Iterable, Iterator
from typing import Literal

from loopwright.errors import JournalCorrupt
from loopwright.journal.codec import decode, digest_of
from loopwright.journal.protocol import Head
from loopwright.kernel.values import Value

__all__ = ["Break", "ChainReport", "is_stored_bytes", "verify"]

Break = Literal["changed", "missing", "reordered", "truncated", "undecodable", "foreign"]


class ChainReport(Value, frozen=True):
    """`count` events were found good, from the first on. `broken_seq` and `kind` are `None` exactly when the chain is `ok`."""

    ok: bool
    count: int
    broken_seq: int | None
    kind: Break | None
    message: str


def verify(rows: Iterable[tuple[int, bytes, str]], head: Head | None) -> ChainReport:
    """Check `Journal.raw()` against `Journal.head()`; the rows are `(seq, canonical bytes, digest)` as stored.

    Without a head there must be no rows. Raises: `JournalTooNew` for an intact event of a later schema.
    """
    stored = iter(rows)
    run_id = "" if head is None else head.run_id
    prev = ""
    count = 0
    for at, data, digest in stored:
        seq = count + 1
        if head is None:
            return _broken(seq, "missing", "its run has events but no head: the head was removed")
        if at != seq:
            kind, why = _misplaced(seq, at, stored)
            return _broken(seq, kind, why)
        if not is_stored_bytes(data):
            return _broken(seq, "changed", "it is not stored as bytes")
        if digest_of(data) != digest:
            return _broken(seq, "changed", "its bytes do not match its digest")
        try:
            event = decode(data, digest)
        except JournalCorrupt as error:
            return _broken(seq, "undecodable", str(error))
        if event.run_id != run_id:
            return _broken(seq, "foreign", f"it belongs to run {event.run_id!r}, not to {run_id!r}")
        if event.seq != seq:
            return _broken(seq, "reordered", f"it was written as event {event.seq}")
        if event.prev != prev:
            # Its own digest is good, so it was sealed on top of something else than what now stands before it.
            return _broken(max(1, seq - 1), "changed", f"event {seq} was written on top of a different event before it")
        if seq > head.seq:
            return _broken(seq, "foreign", f"the run's head is event {head.seq}: this one was put behind it")
        prev = digest
        count = seq
    if head is not None and count < head.seq:
        return _broken(
            count + 1, "truncated", f"the run's head is event {head.seq}: events {count + 1} to {head.seq} are gone"
        )
    if head is not None and prev != head.digest:
        return _broken(count, "changed", "its digest is not the one that the run's head holds")
    return ChainReport(True, count, None, None, f"run {run_id!r}: {count} events, every link is good")


def is_stored_bytes(data: object) -> bool:
    """Whether a row's bytes are bytes: a column of SQLite takes any type, and a change of it must be named, not end in a crash."""
    return isinstance(data, bytes)


def _misplaced(seq: int, found: int, rest: Iterator[tuple[int, bytes, str]]) -> tuple[Break, str]:
    if found < seq or any(later == seq for later, _, _ in rest):
        return "reordered", f"event {found} stands in its place"
    return "missing", f"event {found} follows event {seq - 1}"


def _broken(seq: int, kind: Break, why: str) -> ChainReport:
    return ChainReport(False, seq - 1, seq, kind, f"event {seq} is {kind}: {why}")
