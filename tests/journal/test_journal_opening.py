"""Opening a repository's journal: where it lies, who may read it, and one clear line when it cannot be."""

import contextlib
import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from loopwright.errors import JournalCorrupt, JournalError, UsageError
from loopwright.journal import migrations
from loopwright.journal.opening import open_journal
from loopwright.journal.redact import Redactor
from loopwright.kernel.events import RunPaused
from support.postgres import schema_url


def test_sqlite_lies_in_a_folder_that_only_its_owner_may_enter(tmp_path: Path) -> None:
    journal = open_journal(tmp_path, None, redactor=Redactor())
    (event,) = journal.append("r", [RunPaused("x")], expect_seq=0)
    journal.close()
    folder = tmp_path / ".loopwright"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    with contextlib.closing(sqlite3.connect(folder / "journal.db")) as db, db:
        assert db.execute("SELECT digest FROM events").fetchall() == [(event.digest,)]
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    db.close()


def test_the_secrets_of_the_environment_are_kept_out_without_being_asked(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from loopwright.journal.opening import open_journal;"
        "from loopwright.kernel.events import RunPaused; journal = open_journal(Path(sys.argv[1]), None);"
        "print(journal.append('r', [RunPaused('word-of-honour')], expect_seq=0)[0].body.why)"
    )
    env = {**os.environ, "MY_TOKEN": "word-of-honour"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, env=env, check=True
    )
    assert done.stdout == "[redacted:MY_TOKEN]\n"


def test_importing_the_package_does_not_import_psycopg() -> None:
    code = "import sys, loopwright.journal.opening, loopwright.journal.postgres; print('psycopg' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_a_url_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"expected a postgresql:// URL, found one that starts with 'mysql'"):
        open_journal(tmp_path, "mysql://u:hidden-word@h/x")


def test_a_server_that_is_not_there_is_told_in_one_line_without_the_password(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"journal postgresql://127.0.0.1:1/db schema 'loopwright': cannot be reached"
    ) as raised:
        open_journal(tmp_path, "postgresql://me:hidden-word@127.0.0.1:1/db")
    assert "\n" not in str(raised.value) and "hidden-word" not in str(raised.value)


def test_without_psycopg_the_way_to_it_is_told(tmp_path: Path) -> None:
    """A folder of an empty file in place of the package: a real interpreter that cannot import it."""
    (tmp_path / "psycopg.py").write_text("raise ImportError('not here')")
    code = (
        "from pathlib import Path; from loopwright.errors import UsageError; from loopwright.journal.opening import open_journal\n"
        "try: open_journal(Path('.'), 'postgresql://127.0.0.1:1/db')\n"
        "except UsageError as error: print(error)"
    )
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=env, cwd=tmp_path, check=True
    )
    assert done.stdout.strip().endswith("it is not installed: pip install 'loopwright[postgres]'")


@pytest.mark.parametrize("schema", ["Upper", "pg_x", "a-b", 'a"b', "", "x" * 64])
def test_a_schema_that_would_need_quoting_is_refused(tmp_path: Path, schema: str) -> None:
    with pytest.raises(UsageError, match="expected a schema of a-z"):
        open_journal(tmp_path, f"postgresql://127.0.0.1:1/db?schema={schema}")


def test_two_schemas_of_one_server_do_not_see_each_other(tmp_path: Path, postgres_url: str) -> None:
    one = open_journal(tmp_path, schema_url(postgres_url, "apart_one"))
    other = open_journal(tmp_path, schema_url(postgres_url, "apart_other"))
    one.append("r", [RunPaused("x")], expect_seq=0)
    with one.lease("r"), other.lease("r") as lease:
        assert lease.still_held() and other.heads() == []
    one.close()
    other.close()


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / ".loopwright").mkdir()
    (tmp_path / ".loopwright" / "journal.db").write_bytes(b"not a database, but long enough to be read as one" * 20)
    with pytest.raises(
        JournalCorrupt, match=r"journal '.*journal.db': expected an intact SQLite journal, found damage"
    ):
        open_journal(tmp_path, None)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / ".loopwright").write_text("a file is in the way")
    with pytest.raises(JournalError, match="cannot be made"):
        open_journal(tmp_path, None)


def test_a_damaged_page_is_told(tmp_path: Path) -> None:
    journal = open_journal(tmp_path, None)
    journal.append("r", [RunPaused("x" * 900) for _ in range(200)], expect_seq=0)
    journal.close()
    path = tmp_path / ".loopwright" / "journal.db"
    data = bytearray(path.read_bytes())
    data[4096 * 2 :] = b"\xa5" * (len(data) - 4096 * 2)
    path.write_bytes(data)
    with (
        contextlib.closing(open_journal(tmp_path, None)) as damaged,
        pytest.raises(JournalCorrupt, match="found damage"),
    ):
        list(damaged.read("r"))


def test_a_full_disk_is_told_and_the_journal_goes_on_when_there_is_room(tmp_path: Path) -> None:
    """A limit on file size is what a full disk is to SQLite: a write that fails."""
    code = """
import os, resource, signal, sys
from pathlib import Path
from loopwright.errors import JournalError
from loopwright.journal.chain import verify
from loopwright.journal.opening import open_journal
from loopwright.kernel.events import RunPaused
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
journal = open_journal(Path(sys.argv[1]), None)
journal.append("r", [RunPaused("x")], expect_seq=0)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
seq = 1
try:
    while True:
        seq = journal.append("r", [RunPaused("y" * 20_000)], expect_seq=seq)[0].seq
except JournalError as error:
    print(error)
try:
    journal.blobs.put(os.urandom(300_000))
except JournalError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert journal.append("r", [RunPaused("z")], expect_seq=seq)[0].seq == seq + 1
print(verify(journal.raw("r"), journal.head("r")).ok)
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    append, blob, good = done.stdout.splitlines()
    assert append.startswith("journal '") and "journal.db'" in append
    assert blob.startswith("blob of 300000 bytes: cannot be written to ") and "File too large" in blob
    assert good == "True"


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_migrations_are_numbered_without_a_gap(kind: str) -> None:
    steps = migrations.load(kind)  # type: ignore[arg-type]
    assert [step.number for step in steps] == list(range(1, len(steps) + 1))
    assert all(step.statements for step in steps)
    assert migrations.outstanding(steps, 0) == steps and migrations.outstanding(steps, len(steps)) == ()
