"""Reading a file that the code under test wrote: it may be a link, a pipe, a directory, or larger than the memory."""

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from loopwright.errors import LoopwrightError
from loopwright.sandbox.remove import remove_tree

__all__ = ["UnreadableFile", "answer_folder", "read_untrusted"]


class UnreadableFile(LoopwrightError):
    """Not a plain file, too large, or not there."""


def read_untrusted(path: Path, max_bytes: int) -> bytes | None:
    """The bytes of a plain file, `None` when it is not there. A link is not followed and a pipe is not waited for.

    Raises: `UnreadableFile`.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UnreadableFile(f"{path.name!r} cannot be read: {error.strerror}; expected a plain file") from error
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise UnreadableFile(f"{path.name!r} is not a plain file")
        with open(fd, "rb", closefd=False) as file:
            data = file.read(max_bytes + 1)
    finally:
        os.close(fd)
    if len(data) > max_bytes:
        raise UnreadableFile(f"{path.name!r} has more than {max_bytes} bytes")
    return data


@contextlib.contextmanager
def answer_folder(purpose: str) -> Iterator[Path]:
    """A private folder outside every candidate that a command may write its answer to; it goes with all that was put there."""
    folder = Path(tempfile.mkdtemp(prefix=f"loopwright-{purpose}-"))
    try:
        yield folder
    finally:
        remove_tree(folder)
