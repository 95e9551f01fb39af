"""A repository as a proposer may see it: some files of every tree are not there, and that they are not there is no change."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

from loopwright.errors import WorkspaceError
from loopwright.journal.protocol import BlobStore
from loopwright.kernel.values import Change
from loopwright.sandbox.protocol import Overlay
from loopwright.workspace.patterns import matches
from loopwright.workspace.protocol import Candidate, Commit, Workspace

__all__ = ["HidingCandidate", "HidingWorkspace"]


class HidingWorkspace:
    """Implements `workspace.protocol.Workspace` over another one. `hidden` are paths, not patterns; they stay in every commit.

    What a program writes at such a path is a change as any other: that it hit the name of a hidden file must not decide.
    """

    def __init__(self, workspace: Workspace, hidden: Sequence[str]) -> None:
        self._workspace = workspace
        self._hidden = frozenset(hidden)

    def checkout(self, tree: str, label: str) -> Candidate:
        candidate = self._workspace.checkout(tree, label)
        try:
            return HidingCandidate(candidate, self._hidden & frozenset(self._workspace.paths(tree)))
        except BaseException:
            candidate.discard()
            raise

    def read(self, tree: str, path: str) -> bytes | None:
        return None if path in self._hidden else self._workspace.read(tree, path)

    def paths(self, tree: str) -> tuple[str, ...]:
        return tuple(path for path in self._workspace.paths(tree) if path not in self._hidden)

    def diff(self, tree: str, changes: Sequence[Change], blobs: BlobStore) -> str:
        return self._workspace.diff(tree, changes, blobs)

    def commit(self, parent: str, changes: Sequence[Change], blobs: BlobStore, *, message: str, at_ms: int) -> Commit:
        return self._workspace.commit(parent, changes, blobs, message=message, at_ms=at_ms)

    def move_branch(self, branch: str, commit: str, *, expected: str | None) -> None:
        self._workspace.move_branch(branch, commit, expected=expected)

    def branch_head(self, branch: str) -> str | None:
        return self._workspace.branch_head(branch)


class HidingCandidate:
    """Implements `workspace.protocol.Candidate`: `candidate`, fresh and of a tree that has all of `hidden`, without them."""

    def __init__(self, candidate: Candidate, hidden: frozenset[str]) -> None:
        self._candidate = candidate
        self._hidden = hidden
        for path in sorted(hidden):
            candidate.remove(path)

    @property
    def path(self) -> Path:
        return self._candidate.path

    @property
    def overlays(self) -> tuple[Overlay, ...]:
        return self._candidate.overlays

    def read(self, path: str, limit_bytes: int = 64 << 20) -> bytes | None:
        return self._candidate.read(path, limit_bytes)

    def write(self, path: str, data: bytes, mode: Literal["100644", "100755"] = "100644") -> None:
        self._candidate.write(path, data, mode)

    def remove(self, path: str) -> None:
        self._candidate.remove(path)

    def apply(self, changes: Sequence[Change], blobs: BlobStore) -> None:
        self._candidate.apply(changes, blobs)

    def restore(self, patterns: Sequence[str]) -> tuple[str, ...]:
        """As the protocol's, and a hidden file is put back to not being there; it differed when something was."""
        planted = {path for path in self._hidden if self._is_there(path)}
        differed = self._candidate.restore(patterns)
        put_back = {path for path in differed if path in self._hidden}
        for path in sorted(put_back):
            self._candidate.remove(path)
        # One written exactly as the base has it does not differ from it, and must go all the same where it is protected.
        same = {path for path in planted - put_back if matches(path, patterns)}
        for path in sorted(same):
            self._candidate.remove(path)
        return tuple(sorted({path for path in differed if path not in put_back} | (put_back & planted) | same))

    def harvest(self, blobs: BlobStore) -> tuple[Change, ...]:
        """As the protocol's. A hidden file counts as deleted only where something else took its place: a folder of its name, or a file
        of the name of a folder that it was in."""
        changes = self._candidate.harvest(blobs)
        written = {c.path for c in changes if c.content is not None}
        taken = written.union(*(_folders(path) for path in written))

        def deleted(path: str) -> bool:
            return path not in self._hidden or path in taken or not written.isdisjoint(_folders(path))

        return tuple(c for c in changes if c.content is not None or deleted(c.path))

    def discard(self) -> None:
        self._candidate.discard()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.discard()

    def _is_there(self, path: str) -> bool:
        try:
            return self._candidate.read(path) is not None
        except WorkspaceError:
            return True  # something that is no plain file


def _folders(path: str) -> tuple[str, ...]:
    """Every folder that `path` lies in."""
    parts = path.split("/")
    return tuple("/".join(parts[:depth]) for depth in range(1, len(parts)))
