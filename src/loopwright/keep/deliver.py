"""Deliver: what was kept goes to where the loop's author wants it. Doing it twice is doing it once; nothing half-done is seen."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from loopwright.errors import NotAvailableYet, WorkspaceError
from loopwright.keep.atomic import write_atomically
from loopwright.keep.mailbox import Mail, mailbox
from loopwright.keep.message import commit_message
from loopwright.keep.scope import kept_changes
from loopwright.keep.steps import KeptStep
from loopwright.kernel.loop import Loop
from loopwright.kernel.values import Deliver
from loopwright.views.text import one_line
from loopwright.workspace.relative import checked
from loopwright.workspace.workshop import Workshop

__all__ = ["deliver"]

_NOTHING = "nothing was kept: there is nothing to deliver"


async def deliver(
    work: Deliver,
    *,
    loop: Loop,
    branch: str,
    branch_commit: str | None,
    steps: Sequence[KeptStep],
    directory: Path,
    shop: Workshop,
) -> tuple[str, ...]:
    """The places where the result is now; empty when nothing was kept (the progress says so, and no branch is made).

    `steps` are the kept iterations (`keep.steps.kept_steps`), `branch_commit` is where the run's branch should be (`None` = not
    made yet, as in a fork that kept nothing of its own), `directory` is the run's own: `<loop>.patch`, or `files/` and `MANIFEST`.

    Raises: `WorkspaceError` when git or the disk says no; `NotAvailableYet` for `pull-request`, the branch is there then.
    """
    if not steps:
        shop.progress(_NOTHING)
        return ()
    match work.how:
        case "branch":
            return (_branch(work, branch, branch_commit, shop),)
        case "patch":
            return (str(_patch(loop, steps, directory, shop)),)
        case "file":
            return (str(_files(work, loop, steps, directory, shop)),)
        case "pull-request":
            place = _branch(work, branch, branch_commit, shop)
            raise NotAvailableYet(
                f"deliver 'pull-request' is not performed by this version; the result is on {place}: open it by hand"
            )


def _branch(work: Deliver, branch: str, branch_commit: str | None, shop: Workshop) -> str:
    head = shop.workspace.branch_head(branch)
    # A branch that somebody deleted is made again; one that somebody moved is theirs, and `move_branch` says so.
    shop.workspace.move_branch(branch, work.head_commit, expected=None if head is None else branch_commit)
    return f"branch {branch}"


def _patch(loop: Loop, steps: Sequence[KeptStep], directory: Path, shop: Workshop) -> Path:
    mails = [
        Mail(
            step.commit.commit,
            commit_message(loop.name, step.run_id, step.iteration, step.proposal, step.verdicts),
            shop.workspace.diff(step.parent_tree, kept_changes(step.proposal, loop), shop.blobs),
            step.at_ms,
        )
        for step in steps
    ]
    return write_atomically(directory / f"{loop.name}.patch", mailbox(mails))


def _files(work: Deliver, loop: Loop, steps: Sequence[KeptStep], directory: Path, shop: Workshop) -> Path:
    """The changed files as they are at the end. Links are listed and not made: nothing here may point out of the folder."""
    modes = {c.path: c.mode for step in steps for c in kept_changes(step.proposal, loop)}
    tree = steps[-1].commit.tree
    place = directory / "files"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".files-", dir=directory))
        try:
            files = draft / "files"
            files.mkdir()
            lines = [_one_file(files, path, modes[path], shop.workspace.read(tree, path)) for path in sorted(modes)]
            _exchange(files, place, draft / "old")
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    except OSError as error:
        raise WorkspaceError(
            f"folder {str(place)!r} cannot be written: {error.strerror}; make room or check the folder"
        ) from error
    header = f"commit {work.head_commit}\nstatus\tmode\tsha256\tsize_bytes\tpath\n"
    write_atomically(directory / "MANIFEST", (header + "".join(lines)).encode())
    return place


def _one_file(files: Path, path: str, mode: str, content: bytes | None) -> str:
    shown = path if one_line(path) == path and not path.startswith('"') else json.dumps(path)
    if content is None:
        return f"deleted\t-\t-\t0\t{shown}\n"
    entry = f"{mode}\t{hashlib.sha256(content).hexdigest()}\t{len(content)}\t{shown}\n"
    if mode == "120000":
        return f"link\t{entry}"
    target = files / checked(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    if mode == "100755":
        target.chmod(target.stat().st_mode | 0o111)
    return f"written\t{entry}"


def _exchange(files: Path, place: Path, old: Path) -> None:
    """A crash in between leaves no folder at all, and delivery is done again: never a mixture of two."""
    if place.exists():
        place.rename(old)
    files.rename(place)
