"""A command in a candidate: what of this machine it must be shown, whatever kind of copy the candidate is."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from loopwright.sandbox.protocol import ExecSpec, Limits
from loopwright.sandbox.visible import named_files
from loopwright.workspace.protocol import Candidate

__all__ = ["command_in", "file_mode", "untouched_files"]


def command_in(
    candidate: Candidate,
    argv: tuple[str, ...],
    *,
    timeout_s: float,
    action_id: str,
    env: Mapping[str, str],
    stdin: bytes = b"",
    writable: tuple[Path, ...] = (),
    readable: tuple[Path, ...] = (),
    limits: Limits | None = None,
) -> ExecSpec:
    """`argv`, a command of the loop file or ours, in the candidate's folder, which it may write to, as it may to `writable`; `readable`
    it may look into, and the files that it names by their full path."""
    overlays = candidate.overlays
    return ExecSpec(
        argv=argv,
        cwd=candidate.path,
        timeout_s=timeout_s,
        action_id=action_id,
        env=env,
        stdin=stdin,
        # An overlay brings its own folder; there is nothing at its target on this machine that could be shown.
        writable=writable if overlays else (candidate.path, *writable),
        # A link in a folder that is shown anyway (an environment's `python`) leads to its file by itself, and bwrap cannot put a file
        # in its place there.
        readable=(*readable, *(file for file in named_files(argv) if not file.is_symlink())),
        overlays=overlays,
        limits=limits or Limits(),
    )


def untouched_files(candidate: Candidate) -> Path:
    """Where the files of a candidate in which nothing was run or changed can be looked at from this side."""
    overlays = candidate.overlays
    return overlays[0].lower if overlays else candidate.path


def file_mode(root: Path, path: str) -> Literal["100644", "100755"]:
    """Git's mode of a regular file. Raises: `OSError`."""
    return "100755" if (root / path).lstat().st_mode & 0o100 else "100644"
