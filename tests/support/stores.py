"""A place for a journal, and the means to open it twice, to damage it, and to write to it from another process."""

import contextlib
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from loopwright.journal.opening import FOLDER, open_journal
from loopwright.journal.protocol import Journal
from loopwright.journal.redact import Redactor

__all__ = ["NOW_MS", "Store"]

NOW_MS = 1_700_000_000_000


class Store:
    """`url` is `None` for SQLite in `root`, else the PostgreSQL server with its schema."""

    def __init__(self, root: Path, url: str | None) -> None:
        self.root = root
        self.url = url
        self._opened: list[Journal] = []

    def open(self, now_ms: Callable[[], int] = lambda: NOW_MS, redactor: Redactor | None = None) -> Journal:
        """A handle of its own on this place, as another process would have."""
        journal = open_journal(self.root, self.url, now_ms=now_ms, redactor=redactor or Redactor())
        self._opened.append(journal)
        return journal

    def close(self) -> None:
        for journal in self._opened:
            journal.close()

    def execute(self, statement: str, values: Sequence[object] = ()) -> None:
        """Change the stored rows behind the journal's back. Parameters are written `?`."""
        if self.url is None:
            with contextlib.closing(sqlite3.connect(self.database)) as db, db:
                db.execute(statement, values)
        else:
            import psycopg

            server, _, schema = self.url.partition("?schema=")
            with psycopg.connect(server) as connection:
                connection.execute("SELECT set_config('search_path', %s, false)", (schema,))
                connection.execute(statement.replace("?", "%s").encode(), values)

    @property
    def database(self) -> Path:
        return self.root / FOLDER / "journal.db"

    def python(self, code: str, *args: str) -> subprocess.Popen[str]:
        """A real process that runs `code` with a journal of this place opened as `journal`; it talks over stdin and stdout."""
        opening = (
            "import sys\n"
            "from pathlib import Path\n"
            "from loopwright.journal.opening import open_journal\n"
            "from loopwright.journal.redact import Redactor\n"
            "from loopwright.kernel.events import RunPaused\n"
            "journal = open_journal(Path(sys.argv[1]), sys.argv[2] or None, redactor=Redactor())\n"
        )
        return subprocess.Popen(
            [sys.executable, "-c", opening + code, str(self.root), self.url or "", *args],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
