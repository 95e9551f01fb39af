"""Where checkpoints are kept: a file that only grows, outside the journal's folder, and a command that carries each note away.

The file holds the notes one after the other, an empty line behind each. A note that a power cut left half-written is no note: it
was neither shown nor pushed, and the next one takes its place.
"""

import contextlib
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from loopwright.errors import JournalCorrupt, JournalError
from loopwright.journal.lock import exclusive

__all__ = ["NotesFile", "push", "split_notes"]

_END: Final = "\n\n"


def split_notes(data: bytes) -> tuple[list[str], bytes]:
    """The notes in the bytes of a file, and what is left of one that was cut off.

    Raises: `JournalCorrupt` when it is not text.
    """
    end = data.rfind(b"\n\n")
    if end < 0:
        return [], data
    try:
        blocks = data[:end].decode().split(_END)
    except UnicodeDecodeError:
        raise JournalCorrupt("checkpoints: expected text, found bytes that are not UTF-8: restore a copy") from None
    # A note is two blocks: its text and its signatures.
    whole = len(blocks) // 2 * 2
    notes = [f"{blocks[at]}{_END}{blocks[at + 1]}\n" for at in range(0, whole, 2)]
    used = sum(len(note.encode()) + 1 for note in notes)
    return notes, data[used:]


class NotesFile:
    """The checkpoints of one journal in the file `path`. Its folder is made when the first note is written."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> tuple[list[str], bytes]:
        """Its notes, oldest first, and the rest of one that was cut off. No file is no notes. Raises: `JournalError`."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return [], b""
        except OSError as error:
            raise self._failed("read", error) from error
        return split_notes(data)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """One writer at a time, over all processes: between reading the last note and adding the next. Raises: `JournalError`."""
        with contextlib.ExitStack() as stack:
            try:
                self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                stack.enter_context(exclusive(self.path.with_name(self.path.name + ".lock")))
            except OSError as error:
                raise self._failed("locked", error) from error
            yield

    def append(self, note: str) -> None:
        """Add `note` durably, in a `locked` block. Raises: `JournalError`."""
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                _, rest = self.read()
                end = os.fstat(descriptor).st_size - len(rest)
                os.ftruncate(descriptor, end)
                data = note.encode() + b"\n"
                if os.pwrite(descriptor, data, end) != len(data):
                    raise OSError(None, "it was written in part only")
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            _sync(self.path.parent)
        except OSError as error:
            raise self._failed("written", error) from error

    def _failed(self, what: str, error: OSError) -> JournalError:
        return JournalError(
            f"checkpoints {str(self.path)!r}: cannot be {what} ({error.strerror}): make the file yours and its folder writable"
        )


def push(argv: Sequence[str], note: str, *, timeout_s: float = 30.0) -> None:
    """Give `note` to the user's command on its standard input, so that a copy lies where this machine cannot change it.

    Raises: `JournalError` when the command cannot be started, fails, or takes longer; the note stays in its file either way.
    """
    shown = " ".join(argv)[:80]
    try:
        done = subprocess.run(argv, input=note.encode(), capture_output=True, timeout=timeout_s, check=False)
    except OSError as error:
        raise JournalError(
            f"checkpoint push {shown!r}: cannot be started ({error.strerror}): fix the command"
        ) from error
    except subprocess.TimeoutExpired:
        raise JournalError(f"checkpoint push {shown!r}: took longer than {timeout_s:g} s: push it again") from None
    if done.returncode != 0:
        said = " ".join(done.stderr.decode("utf-8", "replace").split())[-200:]
        raise JournalError(f"checkpoint push {shown!r}: ended with {done.returncode} ({said}): push it again")


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
