"""The journal of many machines: PostgreSQL, the same rows and the same fence as SQLite, blobs in a table beside them.

A driver's lease is a session advisory lock on a connection of its own: the server lets it go when that connection ends, and
keep-alives end it when the machine at the other side is gone.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Final

from loopwright.errors import UsageError
from loopwright.journal import migrations
from loopwright.journal.blobs import Blobs
from loopwright.journal.link import Link, Server
from loopwright.journal.lock import busy
from loopwright.journal.protocol import BlobStore, Head, Lease
from loopwright.journal.redact import Redactor
from loopwright.journal.stream import Row, open_stream, seal, stale
from loopwright.kernel.events import Body, Event

if TYPE_CHECKING:
    from loopwright.journal.link import Connection

__all__ = ["PostgresBlobs", "PostgresJournal"]

PAGE_ROWS: Final = 2000
REMEMBERED_HEADS: Final = 256

_ADD_HEAD: Final = "INSERT INTO heads (seq, digest, last_at_ms, run_id, first_at_ms) VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"
_MOVE_HEAD: Final = (
    "UPDATE heads SET seq = %s, digest = %s, last_at_ms = %s WHERE run_id = %s AND seq = %s AND digest = %s"
)
_ADD_EVENT: Final = "INSERT INTO events (run_id, seq, bytes, digest) VALUES (%s, %s, %s, %s)"
_PAGE: Final = "SELECT seq, bytes, digest FROM events WHERE run_id = %s AND seq > %s ORDER BY seq LIMIT %s"
_LOCK_HOLDER: Final = """
    SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
      AND ((l.classid::bigint << 32) | l.objid::bigint) = %s"""
_OWN_LOCK: Final = """
    SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1 AND pid = pg_backend_pid()
      AND ((classid::bigint << 32) | objid::bigint) = %s"""


class PostgresBlobs(Blobs):
    """Blobs as zstd frames in the journal's schema."""

    def __init__(self, link: Link, redactor: Redactor) -> None:
        super().__init__(redactor)
        self._link = link

    @property
    def place(self) -> str:
        return f"the table blobs of {self._link.server.shown}"

    def sweep(self, referenced: Set[str], *, older_than_s: int) -> tuple[int, int]:
        stale = self._link.fetch(
            "SELECT sha256, octet_length(bytes) FROM blobs WHERE put_at <= now() - make_interval(secs => %s)",
            (older_than_s,),
        )
        lost = {digest: size_bytes for digest, size_bytes in stale if digest not in referenced}
        statement = b"DELETE FROM blobs WHERE sha256 = ANY(%s) AND put_at <= now() - make_interval(secs => %s)"
        self._link.call(lambda connection: connection.execute(statement, (list(lost), older_than_s)))
        return len(lost), sum(lost.values())

    def _has(self, digest: str) -> bool:
        return bool(self._link.fetch("UPDATE blobs SET put_at = now() WHERE sha256 = %s RETURNING 1", (digest,)))

    def _read(self, digest: str) -> bytes | None:
        found = self._link.fetch("SELECT bytes FROM blobs WHERE sha256 = %s", (digest,))
        return bytes(found[0][0]) if found else None

    def _write(self, digest: str, size_bytes: int, frame: bytes) -> None:
        statement = b"INSERT INTO blobs (sha256, size_bytes, bytes) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING"
        self._link.call(lambda connection: connection.execute(statement, (digest, size_bytes, frame)))


class PostgresLease:
    """Held as long as its own connection lives and the server agrees that the lock is that connection's."""

    def __init__(self, connection: "Connection", number: int) -> None:
        self._connection = connection
        self._number = number

    def still_held(self) -> bool:
        import psycopg

        try:
            found = self._connection.execute(_OWN_LOCK, (self._number,)).fetchone()
        except psycopg.Error:
            return False
        return found is not None and found[0] == 1


class PostgresJournal:
    """The journal at a `postgresql://` URL, in the schema that `?schema=` names (`loopwright` without); made when it is not there.

    Usable from any thread. Raises: `UsageError` on opening, when psycopg is not installed or the server cannot be reached;
    `JournalTooNew`; `JournalError` later. A call that lost its connection raises, the next one connects again.
    """

    def __init__(self, url: str, *, now_ms: Callable[[], int], redactor: Redactor) -> None:
        try:
            import psycopg
        except ImportError:
            raise UsageError(
                "journal: expected psycopg for a postgresql:// URL, it is not installed: pip install 'loopwright[postgres]'"
            ) from None
        self._server = Server(url)
        self._now_ms = now_ms
        self._redactor = redactor
        self._link = Link(self._server)
        self._blobs = PostgresBlobs(self._link, redactor)
        self._remembered: dict[str, Head] = {}
        self._mutex = threading.RLock()
        try:
            with contextlib.closing(self._server.connect()) as connection:
                _migrate(connection, self._server)
        except psycopg.OperationalError as error:
            said = " ".join(str(error).split())
            raise UsageError(
                f"journal {self._server.shown}: cannot be reached ({said}): check the URL and the server"
            ) from error
        except psycopg.Error as error:
            raise self._server.failed(error) from error

    @property
    def blobs(self) -> BlobStore:
        return self._blobs

    def append(
        self, run_id: str, bodies: Sequence[Body], *, expect_seq: int, at_ms: int | Sequence[int] | None = None
    ) -> list[Event]:
        """As in `Journal`. Nothing to append is nothing done: the head is not even looked at.

        After a `JournalError` here the events may stand or not (the answer was lost): read the head before trying again.
        """
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
                if not self._link.call(lambda connection: _commit(connection, head, rows, new)):
                    raise stale(run_id, expect_seq, self.head(run_id))
            except BaseException:
                self._remembered.pop(run_id, None)
                raise
            if len(self._remembered) >= REMEMBERED_HEADS:
                self._remembered.clear()
            self._remembered[run_id] = new
            return events

    def read(self, run_id: str, after: int = 0) -> Iterator[Event]:
        """As in `Journal`. An event is checked against its digest and its neighbour before it is handed out."""
        return open_stream(self, run_id, after)

    def rows(self, run_id: str, after: int) -> Iterator[Row]:
        """The stored rows with `seq > after`, in order."""
        while True:
            page: list[Row] = self._link.fetch(_PAGE, (run_id, after, PAGE_ROWS))
            yield from page
            if len(page) < PAGE_ROWS:
                return
            after = page[-1][0]

    def raw(self, run_id: str) -> Iterator[tuple[int, bytes, str]]:
        return self.rows(run_id, 0)

    def head(self, run_id: str) -> Head | None:
        found = self._link.fetch(
            "SELECT run_id, seq, digest, first_at_ms, last_at_ms FROM heads WHERE run_id = %s", (run_id,)
        )
        return Head(*found[0]) if found else None

    def heads(self) -> list[Head]:
        found = self._link.fetch(
            "SELECT run_id, seq, digest, first_at_ms, last_at_ms FROM heads ORDER BY first_at_ms, run_id"
        )
        return [Head(*row) for row in found]

    @contextlib.contextmanager
    def _lease(self, run_id: str) -> Iterator[PostgresLease]:
        import psycopg

        number = self._server.lock_number(run_id)
        try:
            connection = self._server.connect()
        except psycopg.Error as error:
            raise self._server.failed(error) from error
        # Closing the connection is what releases the lock.
        with contextlib.closing(connection):
            try:
                found = connection.execute("SELECT pg_try_advisory_lock(%s)", (number,)).fetchone()
                if found is None or found[0] is not True:
                    by = connection.execute(_LOCK_HOLDER, (number,)).fetchone()
                    raise busy(run_id, "" if by is None else str(by[0]).removeprefix("loopwright "))
            except psycopg.Error as error:
                raise self._server.failed(error) from error
            yield PostgresLease(connection, number)

    def lease(self, run_id: str) -> AbstractContextManager[Lease]:
        return self._lease(run_id)

    def close(self) -> None:
        self._link.close()


def _commit(connection: "Connection", head: Head | None, rows: list[Row], new: Head) -> bool:
    """False when the head is not where it was thought to be; then nothing is written."""
    moved = False
    with connection.transaction():
        if head is None:
            found = connection.execute(_ADD_HEAD, (new.seq, new.digest, new.last_at_ms, new.run_id, new.first_at_ms))
        else:
            found = connection.execute(
                _MOVE_HEAD, (new.seq, new.digest, new.last_at_ms, new.run_id, head.seq, head.digest)
            )
        moved = found.rowcount == 1
        if moved:
            with connection.cursor() as cursor:
                cursor.executemany(_ADD_EVENT, [(new.run_id, *row) for row in rows])
    return moved


def _migrate(connection: "Connection", server: Server) -> None:
    from psycopg import sql

    known = migrations.load("postgres")
    with connection.transaction():
        # Two first openings would both create the tables.
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (server.lock_number("schema migrations"),))
        found = 0
        if connection.execute("SELECT to_regclass('schema_version')").fetchone() != (None,):
            row = connection.execute("SELECT max(number) FROM schema_version").fetchone()
            found = int(str(row[0])) if row is not None and row[0] is not None else 0
        steps = migrations.outstanding(known, found)
        if steps and found == 0:
            connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(server.schema)))
            connection.execute(
                "CREATE TABLE IF NOT EXISTS schema_version (number INTEGER PRIMARY KEY, name TEXT NOT NULL)"
            )
        for step in steps:
            for statement in step.statements:
                connection.execute(statement.encode())
            connection.execute("INSERT INTO schema_version (number, name) VALUES (%s, %s)", (step.number, step.name))
