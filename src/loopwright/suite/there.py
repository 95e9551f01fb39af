"""Whether a path is in a candidate, whose files this side may not be able to see."""

import os
import posixpath

from loopwright.errors import WorkspaceError
from loopwright.workspace.protocol import Candidate

__all__ = ["exists"]


def exists(candidate: Candidate, path: str) -> bool:
    """Whether a file, folder or link is there; `path` is relative to the candidate, or absolute.

    What lies outside is looked for on this machine: only the person who wrote the command can have named it.
    """
    inside = posixpath.normpath(os.path.relpath(path, candidate.path) if posixpath.isabs(path) else path)
    if inside == ".":
        return True
    if inside == ".." or inside.startswith("../"):
        return (candidate.path / path).exists()
    try:
        return candidate.read(inside) is not None
    except WorkspaceError:
        return True  # something that is no plain file
