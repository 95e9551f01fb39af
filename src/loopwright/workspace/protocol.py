"""The trusted side of a repository and the disposable copies that candidates are tried in.

The host never runs git against a directory that a candidate could write: a candidate has no `.git`, and what changed in it is
found by walking it with `lstat` and hashing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from loopwright.journal.protocol import BlobStore
from loopwright.kernel.values import Change
from loopwright.sandbox.protocol import Overlay

__all__ = ["Candidate", "Commit", "Workspace"]


@dataclass(frozen=True, slots=True)
class Commit:
    commit: str
    tree: str


class Candidate(Protocol):
    """A disposable directory with the files of one tree. Whoever took it out discards it (`with`).

    `path` is where a command that is run with `overlays` sees the files. On this side of the sandbox they may not be there (an overlay
    is mounted inside only): the runtime reads and writes through `read`, `write` and `remove`.
    """

    @property
    def path(self) -> Path: ...

    @property
    def overlays(self) -> tuple[Overlay, ...]:
        """What `ExecSpec.overlays` must be for a command in this candidate; empty for a full copy."""
        ...

    def read(self, path: str, limit_bytes: int = 64 << 20) -> bytes | None:
        """A regular file as a command left it, `None` when there is none; no link is followed, no pipe is waited for.

        Raises: `WorkspaceError` for what is not a regular file, and for more than `limit_bytes`.
        """
        ...

    def write(self, path: str, data: bytes, mode: Literal["100644", "100755"] = "100644") -> None:
        """Put a file there; nothing may run in the candidate meanwhile. Raises: `WorkspaceError` as `apply`."""
        ...

    def remove(self, path: str) -> None:
        """Take a file away if it is there. Raises: `WorkspaceError` as `apply`."""
        ...

    def apply(self, changes: Sequence[Change], blobs: BlobStore) -> None:
        """Write the changes. A path that leaves the directory, through a link too, is refused: `WorkspaceError`."""
        ...

    def restore(self, patterns: Sequence[str]) -> tuple[str, ...]:
        """Put every path matched by `patterns` back to the base (content, mode, absence); returns those that differed."""
        ...

    def harvest(self, blobs: BlobStore) -> tuple[Change, ...]:
        """What differs from the base tree, ordered by path. Sockets, devices and nested `.git` are refused: `WorkspaceError`."""
        ...

    def discard(self) -> None: ...

    def __enter__(self) -> "Candidate": ...

    def __exit__(self, *exc: object) -> None: ...


class Workspace(Protocol):
    """One repository, as one run sees it. Trees are git tree ids; every one used here is reachable from the base or the branch."""

    def checkout(self, tree: str, label: str) -> Candidate: ...

    def read(self, tree: str, path: str) -> bytes | None:
        """A file of a tree; `None` when it is not there."""
        ...

    def paths(self, tree: str) -> tuple[str, ...]: ...

    def diff(self, tree: str, changes: Sequence[Change], blobs: BlobStore) -> str:
        """The changes as a unified diff (`git apply` takes it)."""
        ...

    def commit(self, parent: str, changes: Sequence[Change], blobs: BlobStore, *, message: str, at_ms: int) -> Commit:
        """A commit on top of `parent`, the same id for the same inputs. Moves no ref."""
        ...

    def move_branch(self, branch: str, commit: str, *, expected: str | None) -> None:
        """Point `refs/heads/<branch>` at `commit`; `expected` is where it must be now (`None` = must not exist).

        Already at `commit` is success. Anything else there is saved under a salvage ref, never lost: raises `WorkspaceError`.
        """
        ...

    def branch_head(self, branch: str) -> str | None: ...
