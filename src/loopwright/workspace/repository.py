"""The user's repository, looked at without leaving a trace: his index, refs, stash and reflog are never written."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from loopwright.errors import UsageError, WorkspaceError
from loopwright.workspace.git import MINIMUM_VERSION, Git, GitFailed, version
from loopwright.workspace.protocol import Commit

__all__ = ["RUNTIME_DIR", "Repository"]

RUNTIME_DIR = ".loopwright"


@dataclass(frozen=True, slots=True)
class Repository:
    """A git work tree. `git_dir` is what all its linked work trees share; `branch` is `None` when HEAD is detached.

    `notes` says in whole sentences what a run should tell its user about this repository.
    """

    root: Path
    git_dir: Path
    head: str
    branch: str | None
    notes: tuple[str, ...]
    git: Git

    @classmethod
    def find(cls, directory: Path) -> "Repository":
        """The git work tree that holds `directory`.

        Raises: `UsageError` with what to do: no such folder, no git, not a repository, a bare one, no commit yet, another owner.
        """
        directory = directory.absolute()
        if not directory.is_dir():
            what = "is a file" if directory.exists() else "does not exist"
            raise UsageError(f"folder {str(directory)!r} {what}; expected a folder in a git repository: check the path")
        found = version(directory)
        if found < MINIMUM_VERSION:
            shown = ".".join(map(str, found)) or "unknown"
            raise UsageError(f"git is version {shown}; expected 2.30 or newer: update git")
        looking = Git(directory)
        try:
            kinds = looking.run("rev-parse", "--is-bare-repository", "--is-inside-work-tree").split()
        except GitFailed as error:
            raise UsageError(_why_not(directory, error.stderr)) from None
        if kinds[0] == b"true":
            raise UsageError(f"{str(directory)!r} is a bare repository; expected one with files: clone it first")
        if kinds[1] != b"true":
            raise UsageError(
                f"{str(directory)!r} lies inside a '.git' folder; expected a folder of the repository's files"
            )
        root = Path(looking.line("rev-parse", "--show-toplevel"))
        own_dir = Path(looking.line("rev-parse", "--absolute-git-dir"))
        # git answers relative to where it is asked.
        git_dir = (directory / looking.line("rev-parse", "--git-common-dir")).resolve()
        git = Git(root, own_dir, root)
        try:
            head = git.line("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
        except GitFailed:
            raise UsageError(
                f"repository {str(root)!r} has no commit yet; expected one: `git add -A && git commit` first"
            ) from None
        branch = (
            git.run("symbolic-ref", "--short", "--quiet", "HEAD", accepted=(0, 1)).decode("utf-8", "replace").strip()
            or None
        )
        return cls(root, git_dir, head, branch, _notes(git), git)

    def uncommitted(self) -> tuple[str, ...]:
        """Paths that differ from HEAD or are untracked and not ignored, ordered; `.loopwright/` is never among them."""
        with self._private_index() as git:
            out = git.run(
                "status", "--porcelain=v1", "-z", "--untracked-files=all", "--no-renames", "--ignore-submodules=dirty"
            )
        # Two letters, a space, the path: without renames every record is one path.
        paths = {record[3:].decode("utf-8", "backslashreplace") for record in out.split(b"\0") if record}
        return tuple(sorted(path for path in paths if path.split("/")[0] != RUNTIME_DIR))

    def snapshot_commit(self, message: str, at_ms: int) -> Commit:
        """The files as they are now, uncommitted and untracked ones too (not ignored ones), as a commit on HEAD that no ref points at.

        HEAD itself when nothing differs. The same files, message and time give the same id. Raises: `WorkspaceError`.
        """
        head = self.git.line("rev-parse", "--verify", "HEAD^{commit}")
        with self._private_index() as git:
            # Taken out afterwards: a pathspec that leaves out a folder which is ignored as well makes `git add` fail.
            git.run("add", "--all", "--", ":/")
            git.run("rm", "-r", "-f", "-q", "--cached", "--ignore-unmatch", "--", f":(top){RUNTIME_DIR}")
            tree = git.line("write-tree")
        if tree == self.tree_of(head):
            return Commit(head, tree)
        return Commit(
            self.git.line("commit-tree", "--no-gpg-sign", "-p", head, tree, stdin=message.encode(), at_ms=at_ms), tree
        )

    def resolve(self, revision: str) -> str:
        """The commit that `revision` names. Raises: `UsageError` when there is none."""
        try:
            return self.git.line("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
        except (GitFailed, ValueError):
            raise UsageError(
                f"revision {revision!r} names no commit in {str(self.root)!r}; expected a branch, tag or commit id"
            ) from None

    def tree_of(self, commit: str) -> str:
        """The tree of a commit. Raises: `UsageError` when there is no such commit."""
        return self.git.line("rev-parse", "--verify", f"{self.resolve(commit)}^{{tree}}")

    def branch_commit(self, name: str) -> str | None:
        """Where a local branch is; `None` when there is none of that name."""
        out = self.git.run(
            "rev-parse", "--verify", "--quiet", "--end-of-options", f"refs/heads/{name}^{{commit}}", accepted=(0, 1)
        )
        return out.decode().strip() or None

    def exclude_runtime_dir(self) -> None:
        """Keep `.loopwright/` out of git for this clone and all its work trees, once. Raises: `WorkspaceError`."""
        # The shared folder: git reads no other `info/exclude`, in a linked work tree either.
        exclude = self.git_dir / "info" / "exclude"
        line = f"/{RUNTIME_DIR}/"
        try:
            exclude.parent.mkdir(exist_ok=True)
            present = exclude.read_bytes() if exclude.exists() else b""
            if line.encode() in present.splitlines():
                return
            with exclude.open("ab") as file:
                file.write((b"" if not present or present.endswith(b"\n") else b"\n") + line.encode() + b"\n")
        except OSError as error:
            raise WorkspaceError(
                f"{str(exclude)!r} cannot be written: {error}; add the line '{line}' to it by hand"
            ) from error

    @contextlib.contextmanager
    def _private_index(self) -> Iterator[Git]:
        """git with a copy of the user's index: even a look at the status would otherwise write his file's cached times."""
        with tempfile.TemporaryDirectory(prefix="loopwright-index-") as folder:
            index = Path(folder) / "index"
            own = self.git.git_dir
            assert own is not None
            with contextlib.suppress(FileNotFoundError):
                # With its times: git trusts an entry's cached times only when they are older than the index file.
                shutil.copy2(own / "index", index)
            yield self.git.with_index(index)


def _why_not(directory: Path, stderr: str) -> str:
    if "dubious ownership" in stderr:
        return (
            f"repository of {str(directory)!r} belongs to another user, so git refuses it; "
            f"if you trust it: `git config --global --add safe.directory {directory}`"
        )
    if "not a git repository" in stderr:
        return f"{str(directory)!r} is not a git repository: run `git init && git add -A && git commit` first"
    last = stderr.splitlines()[-1] if stderr else "no reason given"
    return f"{str(directory)!r} cannot be used as a git repository: {last}"


def _notes(git: Git) -> tuple[str, ...]:
    submodules = [
        record.split(b"\t", 1)[1].decode("utf-8", "backslashreplace")
        for record in git.run("ls-tree", "-r", "-z", "--full-tree", "HEAD").split(b"\0")
        if record.startswith(b"160000 ")
    ]
    if not submodules:
        return ()
    names = ", ".join(submodules[:3]) + (" and more" if len(submodules) > 3 else "")
    return (f"This repository has submodules ({names}): they are empty in the copies that candidates are tried in.",)
