"""Where HEAD and branches point, asked of git only when git's own files have changed."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from loopwright.engine.triggers.signature import Signature, signature_of
from loopwright.workspace.repository import Repository

__all__ = ["Point", "Refs"]

ASK_ANYWAY_MS: Final = 60_000
"""The files are only a hint that saves two processes a second; what they do not show is seen a minute later."""


@dataclass(frozen=True, slots=True)
class Point:
    commit: str
    tree: str


@dataclass(slots=True)
class Refs:
    """The repository as it is now: a `Repository` itself remembers HEAD as it was when it was found."""

    repository: Repository
    _known: dict[str, tuple[tuple[Signature, ...], int, Point | None]] = field(default_factory=dict)

    def head(self, now_ms: int) -> Point:
        """HEAD of the user's checkout. Raises: `WorkspaceError`, `UsageError`."""
        point = self._point("HEAD", now_ms)
        assert point is not None, "HEAD is resolved or an error"
        return point

    def branch(self, name: str, now_ms: int) -> Point | None:
        """A local branch; `None` when there is none of that name. Raises: `WorkspaceError`."""
        return self._point(f"refs/heads/{name}", now_ms)

    def _point(self, ref: str, now_ms: int) -> Point | None:
        known = self._known.get(ref)
        signatures = tuple(signature_of(path) for path in self._files(ref))
        if known is not None and known[0] == signatures and abs(now_ms - known[1]) < ASK_ANYWAY_MS:
            return known[2]
        if ref == "HEAD":
            commit: str | None = self.repository.resolve("HEAD")
        else:
            commit = self.repository.branch_commit(ref.removeprefix("refs/heads/"))
        point = None
        if commit is not None:
            same = known is not None and known[2] is not None and known[2].commit == commit
            point = known[2] if same and known else Point(commit, self.repository.tree_of(commit))
        self._known[ref] = (signatures, now_ms, point)
        return point

    def _files(self, ref: str) -> list[Path]:
        shared = self.repository.git_dir
        files = [shared / "packed-refs", shared / "reftable" / "tables.list"]
        if ref != "HEAD":
            return [*files, shared / ref]
        own = self.repository.git.git_dir or shared
        head = own / "HEAD"
        files.append(head)
        try:
            text = head.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return files
        target = text.removeprefix("ref: ").strip()
        if text.startswith("ref: refs/") and ".." not in target:
            files.append(shared / target)
        return files
