"""What is stored now against what was signed before: the one check that a rewrite of a whole stream, head included, cannot pass.

A stored stream fits a statement when the tree over its first `size` rows has the stated root. Every statement ever made is
checked, so a break is narrowed down to the events between the last statement that fits and the first that does not.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from loopwright.errors import JournalCorrupt
from loopwright.journal.chain import ChainReport, is_stored_bytes, verify
from loopwright.journal.checkpoint import Checkpoint, CheckpointLog, Statement, open_checkpoint
from loopwright.journal.codec import digest_of
from loopwright.journal.merkle import Frontier, leaf_hash
from loopwright.journal.note import SigningKey
from loopwright.journal.notes_file import NotesFile
from loopwright.journal.protocol import Head, Journal
from loopwright.journal.stream import Row
from loopwright.kernel.values import Value

__all__ = ["Fork", "HistoryBreak", "StreamWatch", "check_stream", "deleted_streams", "find_fork", "make_checkpoint"]


class HistoryBreak(Value, frozen=True):
    """Events `first_seq` to `last_seq` of `stream` are not the ones that were signed."""

    stream: str
    kind: Literal["deleted", "truncated", "rewritten"]
    first_seq: int
    last_seq: int
    message: str


class Fork(Value, frozen=True):
    """Two sets of checkpoints with good signatures tell different histories; `stream` is where they part."""

    kind: Literal["forked", "rolled_back"]
    stream: str
    size: int
    message: str


class StreamWatch:
    """Hashes the rows of one stream as they pass by, and compares at every size that was signed."""

    def __init__(self, stream: str, statements: Sequence[Statement]) -> None:
        self.stream = stream
        self.covered = 0
        """So many events from the first on are vouched for by a statement that fits."""
        self._open = sorted(statements, key=lambda statement: statement.size)
        self._tree = Frontier()
        self._break: HistoryBreak | None = None

    def rows(self, rows: Iterable[Row]) -> Iterator[Row]:
        """`rows`, unchanged."""
        for row in rows:
            self._tree.append(leaf_hash(row[1] if is_stored_bytes(row[1]) else b""))
            while self._open and self._open[0].size == self._tree.size:
                self._compare(self._open.pop(0), row)
            yield row

    def _compare(self, statement: Statement, row: Row) -> None:
        if self._break is not None:
            return
        if self._tree.root().hex() == statement.root and row[2] == statement.digest:
            self.covered = statement.size
            return
        self._break = HistoryBreak(
            self.stream,
            "rewritten",
            self.covered + 1,
            statement.size,
            f"stream {self.stream!r}: events {self.covered + 1} to {statement.size} are not the ones that a checkpoint signed:"
            " the stream was rewritten",
        )

    @property
    def size(self) -> int:
        return self._tree.size

    def root(self) -> str:
        """The root (hex) over the rows that passed by."""
        return self._tree.root().hex()

    def result(self) -> HistoryBreak | None:
        """What does not fit, once all rows passed by."""
        if self._break is not None or not self._open:
            return self._break
        last = self._open[-1].size
        if self.size == 0:
            return HistoryBreak(
                self.stream,
                "deleted",
                1,
                last,
                f"stream {self.stream!r}: a checkpoint signed {last} events, none are there: the stream was deleted",
            )
        return HistoryBreak(
            self.stream,
            "truncated",
            self.size + 1,
            last,
            f"stream {self.stream!r}: a checkpoint signed {last} events, {self.size} are there: events {self.size + 1} to"
            f" {last} were cut off",
        )


def check_stream(
    stream: str, rows: Iterable[Row], head: Head | None, statements: Sequence[Statement]
) -> tuple[ChainReport, HistoryBreak | None, int]:
    """The stream's chain, what of it contradicts the statements, and how many events they vouch for, in one pass.

    Raises: `JournalTooNew`.
    """
    watch = StreamWatch(stream, statements)
    watched = watch.rows(rows)
    chain = verify(watched, head)
    # The chain's check ends at the first break; what was signed is compared to the end.
    for _ in watched:
        pass
    return chain, watch.result(), watch.covered


def deleted_streams(log: CheckpointLog, heads: Iterable[Head]) -> list[HistoryBreak]:
    """The streams that were signed and of which nothing is left, not even the head."""
    there = {head.run_id for head in heads}
    found = [StreamWatch(stream, log.about(stream)).result() for stream in log.latest() if stream not in there]
    return [broken for broken in found if broken is not None]


def find_fork(log: CheckpointLog, copy: CheckpointLog) -> Fork | None:
    """Where `copy` (notes that were pushed off this machine) and `log` (those that lie here) tell different histories.

    More here than there is how it should be. More there than here means that this machine was set back: `rolled_back`.
    """
    for ours, theirs in zip(log.statements, copy.statements, strict=False):
        if ours != theirs:
            return Fork(
                "forked",
                theirs.stream,
                theirs.size,
                f"stream {theirs.stream!r}: the copy signed {theirs.size} events with digest {theirs.digest[:12]}, here"
                f" {ours.size} events of {ours.stream!r} with digest {ours.digest[:12]} were signed in its place: two histories",
            )
    if len(copy.statements) > len(log.statements):
        gone = copy.statements[len(log.statements)]
        return Fork(
            "rolled_back",
            gone.stream,
            gone.size,
            f"stream {gone.stream!r}: the copy signed {gone.size} events, the checkpoints here know nothing of it: they were set"
            " back to an earlier time",
        )
    return None


def make_checkpoint(
    journal: Journal, notes: NotesFile, origin: str, key: SigningKey, now_ms: int
) -> tuple[str, Checkpoint] | None:
    """Sign what the journal's streams are now and keep the note; `None` when nothing was written since the last one.

    Nothing is signed that contradicts what was signed before. Costs a read of every stream that grew.
    Raises: `JournalCorrupt` naming the stream, `JournalError` when the note cannot be kept.
    """
    with notes.locked():
        log = CheckpointLog(origin, notes.read()[0], [key.verifier])
        heads = journal.heads()
        for gone in deleted_streams(log, heads):
            raise JournalCorrupt(f"{gone.message}: nothing was signed, see `loopwright audit verify`")
        latest = log.latest()
        fresh = [
            _statement(journal, head, log.about(head.run_id))
            for head in heads
            if _changed(head, latest.get(head.run_id))
        ]
        if not fresh:
            return None
        note = log.next_note(fresh, now_ms, key)
        notes.append(note)
    return note, open_checkpoint(note, [key.verifier], origin)


def _changed(head: Head, last: Statement | None) -> bool:
    return last is None or (head.seq, head.digest) != (last.size, last.digest)


def _statement(journal: Journal, head: Head, earlier: Sequence[Statement]) -> Statement:
    watch = StreamWatch(head.run_id, earlier)
    digest = ""
    for seq, data, digest in watch.rows(_until(journal.raw(head.run_id), head.seq)):
        if seq != watch.size or not is_stored_bytes(data) or digest_of(data) != digest:
            raise JournalCorrupt(
                f"stream {head.run_id!r}: event {watch.size} is not what was written: nothing was signed, see"
                f" `loopwright audit verify {head.run_id}`"
            )
    broken = watch.result()
    if broken is not None:
        raise JournalCorrupt(f"{broken.message}: nothing was signed, see `loopwright audit verify`")
    if watch.size != head.seq or digest != head.digest:
        raise JournalCorrupt(
            f"stream {head.run_id!r}: its head is event {head.seq}, its events end at {watch.size} or differ: nothing was signed"
        )
    return Statement(head.run_id, head.seq, watch.root(), digest)


def _until(rows: Iterator[Row], last: int) -> Iterator[Row]:
    # A run that is being driven has grown on since its head was read: those events are for the next checkpoint.
    for row in rows:
        if row[0] > last:
            return
        yield row
