"""The audit of a site's journal: where its checkpoints lie, signing one, carrying it away, verifying, exporting.

The key and the checkpoints lie in the user's own folders, never in the repository: whoever can rewrite the journal must not be able
to sign the rewrite.
"""

import hashlib
import urllib.parse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from loopwright.engine.site import Site
from loopwright.errors import JournalError, LoopwrightError, UsageError
from loopwright.journal.checkpoint import Checkpoint, CheckpointLog, journal_origin
from loopwright.journal.erasable import ErasableStore
from loopwright.journal.export import ExportedStream, export_streams
from loopwright.journal.history import make_checkpoint
from loopwright.journal.keys import AuditPlaces, audit_places, journal_place, load_key, load_or_make_key
from loopwright.journal.note import NoteKey, SigningKey
from loopwright.journal.notes_file import NotesFile, push
from loopwright.views.verify import VerifyReport, verify_all

__all__ = [
    "Books",
    "books_of",
    "checkpoint_now",
    "checkpoint_or_say",
    "export_site",
    "push_new_notes",
    "restart",
    "signing_key",
    "stream_named",
    "verify_site",
]


@dataclass(frozen=True, slots=True)
class Books:
    """`origin` is the journal's name in all its checkpoints; `notes` is the file that they lie in."""

    places: AuditPlaces
    origin: str
    notes: NotesFile


def books_of(site: Site) -> Books:
    """Where the audit files of a site lie; nothing is made. Raises: `UsageError` when they would lie inside the repository."""
    places = audit_places(site.env)
    origin = journal_origin(journal_place(site.repository.root, site.env.get("LOOPWRIGHT_JOURNAL")))
    notes = places.notes_of(origin)
    root = site.repository.root.resolve()
    if notes.resolve().is_relative_to(root):
        raise UsageError(
            f"checkpoints {str(notes)!r}: expected a place that no run can reach, found one inside {str(root)!r}:"
            " set XDG_STATE_HOME to a folder outside of it"
        )
    return Books(places, origin, NotesFile(notes))


def signing_key(site: Site) -> tuple[SigningKey, bool]:
    """The user's audit key and whether it was made just now. Raises: `UsageError`, `JournalError`."""
    return load_or_make_key(books_of(site).places.key, outside=[site.repository.root])


def checkpoint_now(site: Site) -> Checkpoint | None:
    """Sign what the journal is now; `None` when nothing was written since the last checkpoint.

    Raises: `JournalCorrupt` when the journal contradicts what was signed before, `JournalError` and `UsageError` when the key or the
    note cannot be kept.
    """
    books = books_of(site)
    key, _ = load_or_make_key(books.places.key, outside=[site.repository.root])
    made = make_checkpoint(site.journal, books.notes, books.origin, key, site.now_ms())
    return None if made is None else made[1]


def checkpoint_or_say(site: Site, say: Callable[[str], None]) -> None:
    """Sign what the journal is now, or tell `say` in one line why not: a run must not fail because a home is read-only."""
    try:
        checkpoint_now(site)
    except (LoopwrightError, OSError) as error:
        say(f"no checkpoint was signed: {error}; if you removed the journal yourself: `loopwright audit restart`")


def push_new_notes(site: Site, argv: Sequence[str]) -> int:
    """Give `argv` every note that it was not given before, in one piece on its standard input; returns how many.

    What is appended to one file over all calls is a copy that `audit verify --copy` takes. Raises: `JournalError`; what failed is
    given again the next time.
    """
    books = books_of(site)
    mark = books.notes.path.with_suffix(f".{hashlib.sha256(chr(0).join(argv).encode()).hexdigest()[:12]}.pushed")
    with books.notes.locked():
        notes, _ = books.notes.read()
        given = _given(mark)
        if given > len(notes):
            raise JournalError(
                f"checkpoints {str(books.notes.path)!r}: expected the {given} notes that were pushed already, found {len(notes)}:"
                " they were set back, see `loopwright audit verify --copy`"
            )
        fresh = notes[given:]
        if fresh:
            push(argv, "".join(f"{note}\n" for note in fresh))
            try:
                mark.write_text(f"{len(notes)}\n", encoding="ascii")
            except OSError as error:
                raise JournalError(
                    f"checkpoints {str(mark)!r}: cannot be written ({error.strerror}): make its folder writable, or the notes are"
                    " pushed again"
                ) from error
    return len(fresh)


def restart(site: Site) -> Path | None:
    """Begin a new history of checkpoints: what is there is set aside, whole; returns where it lies now, `None` when there is none.

    For a journal that a person removed on purpose. A copy of the old checkpoints that lies elsewhere still shows what was there.
    Raises: `UsageError`, `JournalError`.
    """
    notes = books_of(site).notes
    if not notes.path.exists():
        return None
    aside = notes.path.with_name(f"{notes.path.name}.{site.now_ms()}.old")
    with notes.locked():
        try:
            notes.path.rename(aside)
        except OSError as error:
            raise JournalError(
                f"checkpoints {str(notes.path)!r}: cannot be set aside ({error.strerror}): make its folder writable"
            ) from error
    return aside


def verify_site(
    site: Site, streams: Sequence[str] | None, *, copies: Sequence[bytes] = (), keys: Sequence[NoteKey] = ()
) -> VerifyReport:
    """Whether the journal can be believed: these streams of it, `None` = all. Without `keys` the user's own key counts.

    Raises: `JournalTooNew`, `UsageError`.
    """
    books = books_of(site)
    known = list(keys)
    if not known and books.places.key.exists():
        known = [load_key(books.places.key).verifier]
    return verify_all(
        site.journal,
        books.origin,
        books.notes,
        known,
        streams=streams,
        copies=copies,
        erasables=ErasableStore(books.places.values, books.places.value_keys, site.redactor),
    )


def stream_named(site: Site, name: str) -> str | None:
    """`name` when it is exactly a stream of the journal, or one that was signed once and is gone; else `None`."""
    if site.journal.head(name) is not None:
        return name
    line = f"\nstream {urllib.parse.quote(name, safe=':')} "
    return name if any(line in note for note in books_of(site).notes.read()[0]) else None


def export_site(site: Site, streams: Sequence[str], target: Path, *, blobs: bool) -> tuple[ExportedStream, ...]:
    """Sign what the journal is now and write these streams into the new file `target`. Raises: as `checkpoint_now`, `UsageError`."""
    checkpoint_now(site)
    books = books_of(site)
    log = CheckpointLog(books.origin, books.notes.read()[0], [load_key(books.places.key).verifier])
    return export_streams(site.journal, log, streams, target, blobs=blobs)


def _given(mark: Path) -> int:
    try:
        return int(mark.read_text(encoding="ascii"))
    except FileNotFoundError:
        return 0
    except (OSError, ValueError) as error:
        raise JournalError(
            f"checkpoints {str(mark)!r}: expected the number of pushed notes, found {error}: remove it to push all again"
        ) from None
