"""Two trees as a unified diff that `git apply` takes and that is text throughout."""

import os
import tempfile
from pathlib import Path

from loopwright.workspace.git import Git

__all__ = ["unified"]

_OPTIONS = ("-r", "-p", "--binary", "--full-index", "--no-renames", "--no-color", "--no-ext-diff", "--no-textconv")


def unified(git: Git, scratch: Path, old_tree: str, new_tree: str) -> str:
    """The diff from one tree to the other; empty for the same tree. Raises: `WorkspaceError`.

    The plumbing command is used, in an empty folder: no configured diff program, converter or look of diffs changes it.
    """
    with tempfile.TemporaryDirectory(prefix="diff-", dir=scratch) as name:
        folder = Path(name)
        inside = git.for_copies(folder, index=folder / "index")
        whole = _decoded(inside.run("diff-tree", *_OPTIONS, old_tree, new_tree))
        if whole is not None:
            return whole
        # Some file is neither UTF-8 nor, to git, binary (Latin-1 for example): that one is shown as a binary patch.
        all_binary = folder / "attributes"
        all_binary.write_text("* -diff\n")
        parts: list[str] = []
        for path in inside.run("diff-tree", "-r", "-z", "--name-only", "--no-renames", old_tree, new_tree).split(b"\0"):
            if path:
                only = ("--", f":(top,literal){os.fsdecode(path)}")
                text = _decoded(inside.run("diff-tree", *_OPTIONS, old_tree, new_tree, *only))
                if text is None:
                    as_binary = inside.with_settings(f"core.attributesFile={all_binary}")
                    text = as_binary.run("diff-tree", *_OPTIONS, old_tree, new_tree, *only).decode(
                        "utf-8", "backslashreplace"
                    )
                parts.append(text)
        return "".join(parts)


def _decoded(data: bytes) -> str | None:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None
