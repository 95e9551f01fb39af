"""The journal of one machine: SQLite in WAL mode, one synced commit an append.

`synchronous=FULL`, because with `NORMAL` a power cut takes back commits that were already acknowledged. Another process may
write too: what this one remembers of a head is only a guess that every commit proves by `UPDATE … WHERE seq = ?`.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from loopwright.errors import JournalCorrupt, JournalError
from loopwright.journal import migrations
from loopwright.journal.lock import exclusive, file_lease
from loopwright.journal.protocol import BlobStore, Head, Lease
from loopwright.journal.redact import Redactor
from loopwright.journal.stream import Row, open_stream, seal, stale
from loopwright.kernel.events import Body, Event

__all__ = ["SqliteJournal"]

PAGE_ROWS: Final = 1000
REMEMBERED_HEADS: Final = 256

_ADD_HEAD: Final = (
    "INSERT INTO heads (seq, digest, last_at_ms, run_id, first_at_ms) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
)
_MOVE_HEAD: Final = "UPDATE heads SET seq = ?, digest = ?, last_at_ms = ? WHERE run_id = ? AND seq = ? AND digest = ?"
_ADD_EVENT: Final = "INSERT INTO events (run_id, seq, bytes, digest) VALUES (?, ?, ?, ?)"
_HEAD: Final = "SELECT run_id, seq, digest, first_at_ms, last_at_ms FROM heads"
_PAGE: Final = "SELECT seq, bytes, digest FROM events WHERE run_id = ? AND seq > ? ORDER BY seq LIMIT ?"


class SqliteJournal:
    """The journal in the file `path`, which is created when it is not there. `locks` is the folder of the leases.

    Usable from any thread. Raises, on opening and everywhere: `JournalError` with one line when the disk or the file says no;
    `JournalTooNew` for a file of a later version.
    """

    def __init__(
        self, path: Path, blobs: BlobStore, locks: Path, *, now_ms: Callable[[], int], redactor: Redactor
    ) -> None:
        self._path = path
        self._blobs = blobs
        self._locks = locks
        self._now_ms = now_ms
        self._redactor = redactor
        self._mutex = threading.RLock()
        self._remembered: dict[str, Head] = {}
        try:
            # Switching to WAL does not wait for others as other statements do: two first openings would collide.
            with exclusive(locks / "opening.lock"):
                self._db = _connect(path)
        except OSError as error:
            raise JournalError(
                f"journal {str(path)!r}: cannot be opened ({error.strerror}): make its folder writable"
            ) from error
        except sqlite3.Error as error:
            raise self._failed(error) from error

    @property
    def blobs(self) -> BlobStore:
        return self._blobs

    def append(
        self, run_id: str, bodies: Sequence[Body], *, expect_seq: int, at_ms: int | Sequence[int] | None = None
    ) -> list[Event]:
        """As in `Journal`. Nothing to append is nothing done: the head is not even looked at."""
        if not bodies:
            return []
        now = self._now_ms() if at_ms is None else at_ms
        with self._mutex:
            try:
                head = self._remembered.get(run_id)
                if head is None or head.seq != expect_seq:
                    head = self.head(run_id)
                    if expect_seq != (0 if head is None else head.seq):
                        raise stale(run_id, expect_seq, head)
                events, rows, new = seal(run_id, bodies, head, now, self._redactor)
                self._commit(head, rows, new, expect_seq)
            except BaseException as error:
                # Whatever happened, the file knows better now.
                self._remembered.pop(run_id, None)
                if isinstance(error, sqlite3.Error):
                    raise self._failed(error) from error
                raise
            if len(self._remembered) >= REMEMBERED_HEADS:
                self._remembered.clear()
            self._remembered[run_id] = new
            return events

    def _commit(self, head: Head | None, rows: list[Row], new: Head, expect_seq: int) -> None:
        execute = self._db.execute
        run_id = new.run_id
        execute("BEGIN IMMEDIATE")
        try:
            if head is None:
                moved = execute(_ADD_HEAD, (new.seq, new.digest, new.last_at_ms, run_id, new.first_at_ms))
            else:
                moved = execute(_MOVE_HEAD, (new.seq, new.digest, new.last_at_ms, run_id, head.seq, head.digest))
            if moved.rowcount != 1:
                raise stale(run_id, expect_seq, self.head(run_id))
            self._db.executemany(_ADD_EVENT, [(run_id, *row) for row in rows])
            execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                execute("ROLLBACK")
            raise

    def read(self, run_id: str, after: int = 0) -> Iterator[Event]:
        """As in `Journal`. An event is checked against its digest and its neighbour before it is handed out."""
        return open_stream(self, run_id, after)

    def raw(self, run_id: str) -> Iterator[tuple[int, bytes, str]]:
        return self.rows(run_id, 0)

    def rows(self, run_id: str, after: int) -> Iterator[Row]:
        """The stored rows with `seq > after`, in order."""
        # Page by page: no read transaction stays open while the caller thinks, so the WAL can be checkpointed.
        while True:
            page: list[Row] = self._fetch(_PAGE, (run_id, after, PAGE_ROWS))
            yield from page
            if len(page) < PAGE_ROWS:
                return
            after = page[-1][0]

    def head(self, run_id: str) -> Head | None:
        found = self._fetch(_HEAD + " WHERE run_id = ?", (run_id,))
        return Head(*found[0]) if found else None

    def heads(self) -> list[Head]:
        return [Head(*row) for row in self._fetch(_HEAD + " ORDER BY first_at_ms, run_id", ())]

    def lease(self, run_id: str) -> AbstractContextManager[Lease]:
        return file_lease(self._locks, run_id)

    def close(self) -> None:
        with self._mutex:
            self._db.close()

    def _fetch(self, statement: str, values: tuple[object, ...]) -> list[tuple]:  # type: ignore[type-arg]
        try:
            with self._mutex:
                return self._db.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def _failed(self, error: sqlite3.Error) -> JournalError:
        subject = f"journal {str(self._path)!r}"
        code = getattr(error, "sqlite_errorname", "")
        if code.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_CONSTRAINT")):
            return JournalCorrupt(
                f"{subject}: expected an intact SQLite journal, found damage ({error}): restore the file from a backup"
            )
        return JournalError(f"{subject}: {error}: {_next_move(code)}")


def _next_move(code: str) -> str:
    if code.startswith("SQLITE_FULL"):
        return "free space on its disk, nothing of the last append was written"
    if code.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return "make the file and its folder writable for this user"
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return "another process keeps it locked, end that process or try again"
    if code.startswith("SQLITE_IOERR"):
        return "check the disk"
    return "open the journal again"


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        for pragma in ("busy_timeout=10000", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            db.execute(f"PRAGMA {pragma}")
        _migrate(db)
    except BaseException:
        db.close()
        raise
    return db


def _migrate(db: sqlite3.Connection) -> None:
    known = migrations.load("sqlite")
    if not migrations.outstanding(known, _version(db)):
        return
    db.execute("BEGIN IMMEDIATE")
    try:
        for step in migrations.outstanding(known, _version(db)):
            for statement in step.statements:
                db.execute(statement)
        # A pragma takes no parameters; the number is our own. It is part of the transaction like any page of the file.
        db.execute(f"PRAGMA user_version = {known[-1].number}")
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])
