"""A candidate as a copy on write: nothing is copied when it is taken out, and only what was changed is looked at afterwards.

The overlay itself is mounted in the sandbox alone. On this side there are its layers; while a sandbox has it mounted, they must not
be written to, for what is mounted need not notice.
"""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from loopwright.errors import WorkspaceError
from loopwright.sandbox.protocol import Overlay
from loopwright.workspace.base import Base
from loopwright.workspace.candidate import TreeCandidate
from loopwright.workspace.git import Git
from loopwright.workspace.upper import Upper

__all__ = ["LOWER", "OverlayCandidate"]

LOWER = "lower"
"""In a candidate's folder: a link to the layer that it lies on. Garbage collection lets that stay as long as the candidate does."""


class OverlayCandidate(TreeCandidate):
    """Its files show at `path` inside a sandbox that mounts `overlays`; on this side that folder is empty.

    `home` is an empty folder of this candidate alone; `uid` is who the command inside is on this machine.
    """

    def __init__(
        self, home: Path, base: Base, git: Git, uid: int, release: Callable[[Path], None] = lambda folder: None
    ) -> None:
        """`release` ends whatever sandbox still has it mounted. Raises: `WorkspaceError` when the layers cannot be made."""
        self._release = release
        owner = None if uid == os.getuid() else uid
        self._overlay = Overlay(home / "tree", base.files, home / "upper", home / "work")
        super().__init__(home, base, git, Upper(self._overlay.upper, base, owner))
        try:
            for folder in (self._overlay.target, self._overlay.upper, self._overlay.work):
                os.mkdir(folder, 0o755)
                if owner is not None:
                    os.chown(folder, owner, owner)
            os.chmod(self._overlay.upper, 0o755)  # noqa: S103  shows as the mode of the tree's own folder
            os.symlink(base.files.parent, home / LOWER)
        except OSError as error:
            raise WorkspaceError(
                f"layers of a candidate cannot be made in {str(home)!r}: {error}; expected a folder that can be given to user {uid}"
            ) from error

    @property
    def overlays(self) -> tuple[Overlay, ...]:
        return (self._overlay,)

    def discard(self) -> None:
        """Delete it, whatever lies in it; again is fine. A sandbox that waits with it mounted is ended first."""
        self._release(self._overlay.target.parent)
        with contextlib.suppress(OSError):
            # The kernel leaves it without permissions; `chmod` as a process of its own would take longer than all the rest.
            os.chmod(self._overlay.work / "work", 0o700)
        super().discard()
