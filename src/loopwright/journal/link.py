"""Connections to PostgreSQL: how they are made, shared, lost and made anew. psycopg is only imported when one is wanted."""

import hashlib
import threading
import urllib.parse
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from loopwright.errors import JournalCorrupt, JournalError, UsageError
from loopwright.journal.lock import holder

if TYPE_CHECKING:
    import psycopg

    Connection = psycopg.Connection[tuple[object, ...]]

__all__ = ["Link", "Server"]

T = TypeVar("T")


class Server:
    """One schema on one server: how to connect to it, and how its failures are told."""

    def __init__(self, url: str) -> None:
        self._conninfo, self.schema, self.shown = _parse(url)

    def connect(self) -> "Connection":
        """A new connection in autocommit mode. Raises: `psycopg.Error`."""
        import psycopg

        connection: Connection = psycopg.connect(
            self._conninfo,
            autocommit=True,
            connect_timeout=10,
            # A peer that vanished without a word is noticed within half a minute, on both sides.
            keepalives_idle=10,
            keepalives_interval=5,
            keepalives_count=3,
            tcp_user_timeout=30_000,
            fallback_application_name=f"loopwright {holder()}"[:63],
        )
        connection.execute("SELECT set_config('search_path', %s, false)", (self.schema,))
        connection.execute(
            "SELECT set_config('tcp_keepalives_idle', '10', false), set_config('tcp_keepalives_interval', '5', false),"
            " set_config('tcp_keepalives_count', '3', false)"
        )
        # A stronger setting (remote_apply) stays; a weaker one would take back acknowledged events after a crash.
        connection.execute(
            "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') IN ('off', 'local')"
        )
        return connection

    def lock_number(self, run_id: str) -> int:
        """64 bits for `run_id` in this schema, as PostgreSQL's advisory locks want them."""
        return int.from_bytes(hashlib.sha256(f"{self.schema}\0{run_id}".encode()).digest()[:8], "big", signed=True)

    def failed(self, error: Exception) -> JournalError:
        import psycopg

        said = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, psycopg.IntegrityError | psycopg.errors.DataCorrupted | psycopg.errors.IndexCorrupted):
            return JournalCorrupt(
                f"journal {self.shown}: expected intact tables, found damage ({said}): restore a backup"
            )
        return JournalError(f"journal {self.shown}: {said}: check the server, the next call connects again")


class Link:
    """One connection that several threads share in turn; made when it is needed, and made anew after it was lost."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._mutex = threading.RLock()
        self._connection: Connection | None = None
        self._closed = False

    def call(self, work: "Callable[[Connection], T]") -> T:
        """`work` on the connection. Raises: `JournalError` when the server says no or is gone."""
        import psycopg

        with self._mutex:
            if self._closed:
                raise JournalError(f"journal {self.server.shown}: it was closed: open the journal again")
            try:
                if self._connection is None:
                    self._connection = self.server.connect()
                return work(self._connection)
            except psycopg.Error as error:
                if self._connection is not None and self._connection.closed:
                    self._connection = None
                raise self.server.failed(error) from error
            except KeyboardInterrupt:
                # The protocol may be half-way through a message: this connection is of no use any more.
                if self._connection is not None:
                    self._connection.close()
                    self._connection = None
                raise

    def fetch(self, statement: str, values: tuple[object, ...] = ()) -> list[tuple]:  # type: ignore[type-arg]
        def work(connection: "Connection") -> list[tuple]:  # type: ignore[type-arg]
            with connection.cursor(binary=True) as cursor:
                return cursor.execute(statement.encode(), values).fetchall()

        return self.call(work)

    def close(self) -> None:
        with self._mutex:
            self._closed = True
            if self._connection is not None:
                self._connection.close()
                self._connection = None


def _parse(url: str) -> tuple[str, str, str]:
    """What libpq is given, the schema, and the URL as it may be shown: without user, password and parameters."""
    parts = urllib.parse.urlsplit(url)
    query = urllib.parse.parse_qsl(parts.query, keep_blank_values=True)
    schema = dict(query).get("schema", "loopwright")
    shown = f"postgresql://{parts.netloc.rpartition('@')[2]}{parts.path} schema {schema!r}"
    if not (
        schema.isascii()
        and schema.isidentifier()
        and schema.islower()
        and len(schema) <= 63
        and not schema.startswith("pg_")
    ):
        raise UsageError(
            f"journal {shown}: expected a schema of a-z, 0-9 and _ that does not start with pg_: change ?schema="
        )
    rest = urllib.parse.urlencode([(k, v) for k, v in query if k != "schema"], quote_via=urllib.parse.quote)
    return urllib.parse.urlunsplit(parts._replace(query=rest)), schema, shown
