"""One driver a run on this machine: a file lock, which the kernel drops when its holder dies, however it dies."""

import contextlib
import fcntl
import os
import socket
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

from loopwright.errors import JournalError, RunBusy

__all__ = ["FileLease", "busy", "exclusive", "file_lease", "holder"]


class FileLease:
    """Held until its `with` block ends or the process dies."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor: int | None = descriptor

    def still_held(self) -> bool:
        """False when the block has ended, or when somebody removed the lock file: then another process could take a new one."""
        if self._descriptor is None:
            return False
        try:
            return os.path.samestat(os.fstat(self._descriptor), os.stat(self._path))
        except OSError:
            return False

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


@contextlib.contextmanager
def file_lease(folder: Path, run_id: str) -> Iterator[FileLease]:
    """The lease of `run_id`. Raises: `RunBusy`, also when this same process already holds it; `JournalError`."""
    # Stream names hold a colon (`loop:<name>`), and nothing that a run is called may climb out of the folder.
    path = folder / f"{urllib.parse.quote(run_id, safe='')}.lock"
    try:
        descriptor = _locked(path, run_id)
    except OSError as error:
        raise JournalError(
            f"run {run_id!r}: cannot lock {str(path)!r} ({error.strerror}): make the folder writable"
        ) from error
    lease = FileLease(path, descriptor)
    try:
        yield lease
    finally:
        lease.release()


def _locked(path: Path, run_id: str) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise busy(run_id, os.pread(descriptor, 400, 0).decode("utf-8", "replace").strip()) from None
            if _is_at(path, descriptor):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, holder().encode(), 0)
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        # The file was removed between opening and locking: a lock on it would fence nobody.
        os.close(descriptor)


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def holder() -> str:
    """This process, as the message to a refused one names it."""
    return f"process {os.getpid()} on {socket.gethostname()}"


def busy(run_id: str, by: str) -> RunBusy:
    """The error for a run that another process drives; `by` is its `holder()`, empty when it had no time to say so."""
    return RunBusy(f"run {run_id!r}: driven by {by or 'another process'}: wait for it, or stop that process first")


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Wait until no other process is in a block over the same path."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
