"""Candidates of every kind for tests, and a way into them: a real overlay is mounted by a helper process, as a sandbox would."""

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from loopwright.sandbox.protocol import Overlay
from loopwright.workspace.git_workspace import GitWorkspace
from loopwright.workspace.protocol import Candidate
from loopwright.workspace.repository import Repository
from support.repositories import make_repository

__all__ = ["KINDS", "Inside", "checkout", "inside", "workspace"]

KINDS = ("disk", "overlay", "overlay by root") if os.geteuid() == 0 else ("disk", "overlay")
"""Overlayfs keeps its notes elsewhere when root mounts it than when an ordinary user does in a namespace of his own."""

Inside = Callable[[Candidate], AbstractContextManager[Path]]

_MOUNT = """
set -e
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2,workdir=$3,$5" "$4"
echo mounted
read -r _
umount -l "$4"
"""


def workspace(root: Path, kind: str) -> GitWorkspace:
    return GitWorkspace(Repository.find(root), root / ".loopwright", overlay=kind != "disk")


def checkout(root: Path, files: dict[str, str], kind: str) -> Candidate:
    make_repository(root, files)
    return workspace(root, kind).checkout(Repository.find(root).tree_of("HEAD"), "run-1")


def inside(kind: str) -> Inside:
    """The folder in which a command of the candidate would work; what was mounted is unmounted when the block ends."""

    @contextlib.contextmanager
    def enter(candidate: Candidate) -> Iterator[Path]:
        if not candidate.overlays:
            yield candidate.path
            return
        with _mounted(*candidate.overlays, by_root=kind == "overlay by root") as here:
            yield here

    return enter


@contextlib.contextmanager
def _mounted(overlay: Overlay, *, by_root: bool) -> Iterator[Path]:
    own_namespaces = ["unshare", "-m"] if by_root else ["unshare", "-r", "-m"]
    options = "redirect_dir=off,metacopy=off" if by_root else "userxattr"
    places = [str(place) for place in (overlay.lower, overlay.upper, overlay.work, overlay.target)]
    argv = [*own_namespaces, "sh", "-c", _MOUNT, "sh", *places, options]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as helper:
        assert helper.stdout is not None
        assert helper.stderr is not None
        assert helper.stdout.readline() == b"mounted\n", helper.stderr.read()
        try:
            # `unshare` becomes the shell: its mounts are seen through the root folder of that process.
            yield Path(f"/proc/{helper.pid}/root{overlay.target}")
        finally:
            helper.communicate(b"\n")
    assert helper.returncode == 0
