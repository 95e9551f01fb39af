"""Where a repository's journal is, and how it is opened."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from loopwright.errors import JournalError, UsageError
from loopwright.journal.blobs import FileBlobs
from loopwright.journal.protocol import Journal
from loopwright.journal.redact import Redactor
from loopwright.journal.sqlite import SqliteJournal

__all__ = ["FOLDER", "open_journal", "wall_clock_ms"]

FOLDER: Final = ".loopwright"


def wall_clock_ms() -> int:
    """Milliseconds since 1970, UTC."""
    return time.time_ns() // 1_000_000


def open_journal(
    repo_root: Path, url: str | None, *, now_ms: Callable[[], int] = wall_clock_ms, redactor: Redactor | None = None
) -> Journal:
    """The journal of the repository: SQLite and blobs in its `.loopwright/` without `url`, else the PostgreSQL server at `url`.

    Without a `redactor` the secrets of this process's environment are kept out of it. Raises: `UsageError` for a URL of another
    kind, for a missing psycopg and for a server that cannot be reached; `JournalError` and `JournalTooNew` as the stores do.
    """
    if redactor is None:
        redactor = Redactor.from_environment(os.environ)
    if url:
        if not url.startswith(("postgresql://", "postgres://")):
            scheme = url.partition(":")[0]
            raise UsageError(
                f"journal: expected a postgresql:// URL, found one that starts with {scheme[:20]!r}: check LOOPWRIGHT_JOURNAL"
            )
        from loopwright.journal.postgres import PostgresJournal

        return PostgresJournal(url, now_ms=now_ms, redactor=redactor)
    folder = repo_root / FOLDER
    try:
        # Nobody else on this machine shall read what a run saw.
        folder.mkdir(mode=0o700, exist_ok=True)
        (folder / "locks").mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise JournalError(
            f"journal folder {str(folder)!r}: cannot be made ({error.strerror}): make {str(repo_root)!r} writable"
        ) from error
    blobs = FileBlobs(folder / "blobs", redactor)
    return SqliteJournal(folder / "journal.db", blobs, folder / "locks", now_ms=now_ms, redactor=redactor)
