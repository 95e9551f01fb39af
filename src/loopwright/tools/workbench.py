"""The candidate that the tools of one action work in: one program or one write at a time, and only through the safe functions."""

import asyncio
import difflib
from dataclasses import dataclass, field

from loopwright.errors import ActionError, WorkspaceError
from loopwright.tools.canonical import digest_of
from loopwright.workspace.protocol import Candidate, Workspace

__all__ = ["FILE_BYTES", "Workbench", "diff_of", "state_of"]

FILE_BYTES = 4 << 20
"""The largest file that a tool reads or writes at once."""

_DIFF_BYTES = 256 << 10


@dataclass(frozen=True, slots=True)
class Workbench:
    """`tree` is the base that `candidate` was checked out from. `busy` is held while anything changes or runs in the candidate: a write
    beside a running program would go into a mounted overlay behind the kernel's back."""

    workspace: Workspace
    candidate: Candidate
    tree: str
    busy: asyncio.Lock = field(default_factory=asyncio.Lock)

    def read(self, path: str) -> bytes | None:
        """A file's bytes, `None` when there is none. Raises: `ActionError` for what is no regular file, outside, or too large."""
        try:
            return self.candidate.read(path, FILE_BYTES)
        except WorkspaceError as error:
            raise ActionError(str(error)) from None

    def write(self, path: str, data: bytes, *, executable: bool = False) -> None:
        """Raises: `ActionError`."""
        try:
            self.candidate.write(path, data, "100755" if executable else "100644")
        except WorkspaceError as error:
            raise ActionError(str(error)) from None

    def remove(self, path: str) -> None:
        """Raises: `ActionError`."""
        try:
            self.candidate.remove(path)
        except WorkspaceError as error:
            raise ActionError(str(error)) from None


def state_of(path: str, data: bytes | None) -> str:
    """The precondition of a call that acts on one file: its path and content, or that it is not there."""
    return digest_of(b"absent\n" + path.encode() if data is None else b"file\n" + path.encode() + b"\n" + data)


def diff_of(path: str, old: bytes | None, new: bytes | None) -> str:
    """The change as a unified diff; a binary or very large one by size and hash."""
    if max(len(old or b""), len(new or b"")) > _DIFF_BYTES or b"\0" in (old or b"") + (new or b""):
        return f"{path}: {_brief(old)} becomes {_brief(new)}"
    before = [] if old is None else old.decode("utf-8", "replace").splitlines()
    after = [] if new is None else new.decode("utf-8", "replace").splitlines()
    names = ("/dev/null" if old is None else f"a/{path}", "/dev/null" if new is None else f"b/{path}")
    return "\n".join(difflib.unified_diff(before, after, *names, lineterm=""))


def _brief(data: bytes | None) -> str:
    return "nothing" if data is None else f"{len(data)} bytes with sha256 {digest_of(data)[:16]}"
