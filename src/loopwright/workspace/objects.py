"""Git objects made without a checkout: contents go straight into the object store, trees are put together in a private index."""

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from loopwright.journal.protocol import BlobStore
from loopwright.kernel.values import Change
from loopwright.workspace.git import Git
from loopwright.workspace.relative import checked_all

__all__ = ["Listing", "listing", "tree_with"]

Listing = Mapping[str, tuple[str, str]]
"""Path → (git mode, blob id), without submodules, in git's order."""

_CONVERSIONS = ("filter", "text", "eol", "ident", "working-tree-encoding")


def listing(git: Git, tree: str) -> Listing:
    """What is in a tree. Raises: `WorkspaceError` when it is not in this repository."""
    entries: dict[str, tuple[str, str]] = {}
    for record in git.run("ls-tree", "-r", "-z", "--full-tree", tree).split(b"\0"):
        meta, _, raw = record.partition(b"\t")
        if meta:
            mode, kind, blob = meta.decode().split(" ")
            if kind == "blob":
                entries[os.fsdecode(raw)] = (mode, blob)
    return entries


def tree_with(git: Git, scratch: Path, tree: str, changes: Sequence[Change], blobs: BlobStore) -> str:
    """The id of `tree` with `changes` in it; `scratch` is a folder of ours for temporary files.

    Contents are taken as they are in a checkout. Where the attributes OF THE BASE convert a file (git-lfs, line ends), the same
    conversion as for the user's own `git add` is applied; what the changes say about attributes is not asked.

    Raises: `WorkspaceError`.
    """
    checked_all(change.path for change in changes)
    if not changes:
        return tree
    with tempfile.TemporaryDirectory(prefix="objects-", dir=scratch) as name:
        folder = Path(name)
        (folder / "tree").mkdir()
        inside = git.for_copies(folder / "tree", index=folder / "index")
        inside.run("read-tree", tree)
        ids = _store(inside, folder, changes, blobs)
        lines = [b"0 %s\t%s\0" % (b"0" * len(tree), c.path.encode()) for c in changes if c.content is None]
        lines += [
            b"%s %s\t%s\0" % (c.mode.encode(), ids[c.path].encode(), c.path.encode())
            for c in changes
            if c.content is not None
        ]
        inside.run("update-index", "--add", "--replace", "-z", "--index-info", stdin=b"".join(lines))
        return inside.line("write-tree")


def _store(git: Git, folder: Path, changes: Sequence[Change], blobs: BlobStore) -> dict[str, str]:
    """Write the contents into the object store; path → blob id."""
    converted = _converted(
        git, [change.path for change in changes if change.content is not None and change.mode != "120000"]
    )
    if converted:
        # `hash-object` reads attributes from the work tree alone: the base's own, in the folder that is otherwise empty.
        named = git.run("ls-files", "-z", "--", ":(glob)**/.gitattributes")
        git.run("checkout-index", "-z", "--stdin", stdin=named)
    ids: dict[str, str] = {}
    staged: list[tuple[str, Path]] = []
    for number, change in enumerate(changes):
        if change.content is None:
            continue
        data = blobs.get(change.content)
        if change.path in converted:
            ids[change.path] = git.line("hash-object", "-w", "--stdin", f"--path={change.path}", stdin=data)
        else:
            staged.append((change.path, folder / str(number)))
            staged[-1][1].write_bytes(data)
    if staged:
        stdin = b"".join(os.fsencode(file) + b"\n" for _, file in staged)
        out = git.run("hash-object", "-w", "--no-filters", "--stdin-paths", stdin=stdin).decode().split()
        ids |= {path: blob for (path, _), blob in zip(staged, out, strict=True)}
    return ids


def _converted(git: Git, paths: Sequence[str]) -> frozenset[str]:
    """The paths that attributes convert; the attributes are read from the index, which is the base's: the work tree is empty."""
    if not paths:
        return frozenset()
    stdin = b"".join(path.encode() + b"\0" for path in paths)
    out = git.run("check-attr", "--cached", "-z", "--stdin", *_CONVERSIONS, stdin=stdin).split(b"\0")
    said = zip(out[0::3], out[2::3], strict=False)
    return frozenset(path.decode() for path, value in said if value not in (b"unspecified", b"unset"))
