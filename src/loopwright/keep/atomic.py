"""Files that are there whole or not at all, whenever the machine goes down."""

import os
import tempfile
from pathlib import Path

from loopwright.errors import WorkspaceError

__all__ = ["write_atomically"]


def write_atomically(path: Path, data: bytes) -> Path:
    """Put `data` at `path`, making its folder; a reader sees the old file or the new one. Returns `path`.

    Raises: `WorkspaceError` when the disk says no.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        try:
            with open(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(draft, 0o644)
            os.replace(draft, path)
        except BaseException:
            os.unlink(draft)
            raise
    except OSError as error:
        raise WorkspaceError(
            f"file {str(path)!r} cannot be written: {error.strerror}; make room or check the folder"
        ) from error
    return path
