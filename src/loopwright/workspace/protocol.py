"""The trusted side of a repository and the disposable copies that candidates are tried in.

The host never runs git against a directory that a candidate could write: a candidate has no `.git`, and what changed in it is
found by walking it with `lstat` and hashing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from loopwright.journal.protocol import BlobStore
from loopwright.kernel.values import Change

__all__ = ["Candidate", "Commit", "Workspace"]


@dataclass(frozen=True, slots=True)
class Commit:
    commit: str
    tree: str


class Candidate(Protocol):
    """A disposable directory with the files of one tree. Whoever took it out discards it (`with`)."""

    @property
    def path(self) -> Path: ...

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
