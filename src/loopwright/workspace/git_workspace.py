"""The trusted side of a repository: trees, commits and branches, made with plumbing in a private index. No ref moves by accident."""

import os
import re
import tempfile
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

from loopwright.errors import WorkspaceError
from loopwright.journal.protocol import BlobStore
from loopwright.kernel.values import Change
from loopwright.workspace.base import copy_to
from loopwright.workspace.candidate import DiskCandidate, TreeCandidate
from loopwright.workspace.differences import unified
from loopwright.workspace.garbage import folder_label
from loopwright.workspace.git import Git, GitFailed
from loopwright.workspace.lower import ensure_lower
from loopwright.workspace.mounts import takes_layers
from loopwright.workspace.objects import Listing, listing, tree_with
from loopwright.workspace.overlay import OverlayCandidate
from loopwright.workspace.protocol import Commit
from loopwright.workspace.repository import Repository

__all__ = ["GitWorkspace"]

_ID = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_LISTINGS_KEPT = 8


class GitWorkspace:
    """Implements `workspace.protocol.Workspace` on `repository`; disposable files lie in `runtime_dir` (`.loopwright`).

    With `overlay` a checkout is a copy on write that only a sandbox can mount, for commands that run as `uid` (`None` = as we do);
    without, and where `runtime_dir` lies on a file system that takes no upper layer, it is a full copy.

    Safe to be used by several threads and processes at once.
    """

    def __init__(
        self,
        repository: Repository,
        runtime_dir: Path,
        *,
        overlay: bool = False,
        uid: int | None = None,
        release: Callable[[Path], None] = lambda folder: None,
    ) -> None:
        """`release` is told of a folder before it is deleted: a sandbox may still hold it."""
        self._git: Git = repository.git
        self._runtime_dir = runtime_dir.absolute()
        self._overlay = overlay
        self._uid = os.getuid() if uid is None else uid
        self._release = release
        self._listings: dict[str, Listing] = {}

    def checkout(self, tree: str, label: str) -> TreeCandidate:
        """A fresh writable copy of `tree`, full or on write; `label` is in its folder's name, for people and for garbage collection.

        Raises: `WorkspaceError`.
        """
        _check_id(tree)
        work = self._runtime_dir / "work"
        work.mkdir(parents=True, exist_ok=True)
        if self._layered:
            base = ensure_lower(self._runtime_dir / "cache" / "lower", tree, self._git, self._uid)
            home = Path(tempfile.mkdtemp(prefix=f"{folder_label(label)}-", dir=work))
            return OverlayCandidate(home, base, self._git, self._uid, self._release)
        home = Path(tempfile.mkdtemp(prefix=f"{folder_label(label)}-", dir=work))
        base = copy_to(self._runtime_dir / "cache" / "trees", tree, self._git, home / "tree")
        return DiskCandidate(home, base, self._git)

    def read(self, tree: str, path: str) -> bytes | None:
        """A file of a tree as git keeps it, or a link's target; `None` when it is not there."""
        entry = self._listing(tree).get(path)
        return None if entry is None else self._git.run("cat-file", "blob", entry[1])

    def paths(self, tree: str) -> tuple[str, ...]:
        """Files and links, ordered; without submodules and without names that are not UTF-8 (no change can name them)."""
        return tuple(path for path in self._listing(tree) if _is_utf8(path))

    def tree_with(self, tree: str, changes: Sequence[Change], blobs: BlobStore) -> str:
        """The id of `tree` with `changes` in it."""
        return tree_with(self._git, self._scratch(), _check_id(tree), changes, blobs)

    def diff(self, tree: str, changes: Sequence[Change], blobs: BlobStore) -> str:
        """The changes as a unified diff (`git apply` takes it); files that are not UTF-8 text stand in it as binary patches."""
        return unified(self._git, self._scratch(), _check_id(tree), self.tree_with(tree, changes, blobs))

    def commit(self, parent: str, changes: Sequence[Change], blobs: BlobStore, *, message: str, at_ms: int) -> Commit:
        """A commit on top of `parent`, the same id for the same inputs; `at_ms` is its date, to the second. Moves no ref.

        Raises: `WorkspaceError`.
        """
        parent_tree = self._git.line(
            "rev-parse", "--verify", "--quiet", "--end-of-options", f"{_check_id(parent)}^{{tree}}"
        )
        tree = self.tree_with(parent_tree, changes, blobs)
        commit = self._git.line("commit-tree", "--no-gpg-sign", "-p", parent, tree, stdin=message.encode(), at_ms=at_ms)
        return Commit(commit, tree)

    def rebuild(self, base_commit: str, steps: Sequence[tuple[Sequence[Change], str, int]], blobs: BlobStore) -> Commit:
        """The head of a run's branch, made again from its steps `(changes, message, at_ms)` in a clone that has only its base.

        Raises: `WorkspaceError` when the base is not in this clone.
        """
        try:
            tree = self._git.line("rev-parse", "--verify", "--end-of-options", f"{_check_id(base_commit)}^{{tree}}")
        except GitFailed:
            raise WorkspaceError(
                f"commit {base_commit!r} is not in this clone; expected the run's base: `git fetch` it"
            ) from None
        head = Commit(base_commit, tree)
        for changes, message, at_ms in steps:
            head = self.commit(head.commit, changes, blobs, message=message, at_ms=at_ms)
        return head

    def branch_head(self, branch: str) -> str | None:
        """The commit of a local branch; `None` when there is no such branch."""
        return self._commit_of(f"refs/heads/{branch}")

    def move_branch(self, branch: str, commit: str, *, expected: str | None) -> None:
        """Point the branch at `commit` when it is at `expected` (`None` = does not exist). Already there is success.

        Raises: `WorkspaceError` when it is elsewhere (then that commit is saved under `refs/loopwright/salvage/`), and when it is
        checked out: moving it would make somebody's clean checkout look changed.
        """
        ref = self._branch_ref(branch)
        now = self._commit_of(ref)
        if now == _check_id(commit):
            return
        if now == expected:
            self._refuse_checked_out(branch, ref)
            try:
                self._git.run("update-ref", "-m", "loopwright: keep", ref, commit, expected or "0" * len(commit))
            except GitFailed:
                # Somebody was faster, or git cannot have that name; the first is told apart by looking again.
                now = self._commit_of(ref)
                if now == commit:
                    return
                if now == expected:
                    raise
            else:
                return
        raise WorkspaceError(self._salvaged(branch, now, expected))

    def _salvaged(self, branch: str, now: str | None, expected: str | None) -> str:
        was = f"expected it at {expected[:12]}" if expected else "expected no such branch"
        if now is None:
            return f"branch {branch!r} is gone, {was}; put it back with `git branch {branch} {expected}` and resume"
        ref = f"refs/loopwright/salvage/{branch}/{now[:12]}"
        self._git.run("update-ref", ref, now)
        return f"branch {branch!r} is at {now[:12]}, {was}: somebody moved it; saved as {ref}: rename or delete the branch and resume"

    def _branch_ref(self, branch: str) -> str:
        ref = f"refs/heads/{branch}"
        try:
            self._git.run("check-ref-format", ref)
        except GitFailed:
            raise WorkspaceError(
                f"branch name {branch!r} is not one git takes; expected letters, digits, '-', '_' and '/'"
            ) from None
        return ref

    def _refuse_checked_out(self, branch: str, ref: str) -> None:
        place = ""
        for line in self._git.run("worktree", "list", "--porcelain").decode("utf-8", "replace").splitlines():
            key, _, value = line.partition(" ")
            place = value if key == "worktree" else place
            if key == "branch" and value == ref:
                raise WorkspaceError(
                    f"branch {branch!r} is checked out in {place!r}; expected it free: switch to another branch and resume"
                )

    def _commit_of(self, ref: str) -> str | None:
        out = self._git.run(
            "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}", accepted=(0, 1)
        )
        return out.decode().strip() or None

    @cached_property
    def _layered(self) -> bool:
        return self._overlay and takes_layers(self._runtime_dir)

    def _listing(self, tree: str) -> Listing:
        known = self._listings.get(_check_id(tree))
        if known is None:
            known = listing(self._git, tree)
            while len(self._listings) >= _LISTINGS_KEPT:
                self._listings.pop(next(iter(self._listings)), None)
            self._listings[tree] = known
        return known

    def _scratch(self) -> Path:
        scratch = self._runtime_dir / "cache" / "scratch"
        scratch.mkdir(parents=True, exist_ok=True)
        return scratch


def _check_id(object_id: str) -> str:
    if not _ID.fullmatch(object_id):
        raise WorkspaceError(f"object id {object_id!r} is not one; expected 40 or 64 hexadecimal digits")
    return object_id


def _is_utf8(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
