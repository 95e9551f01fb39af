"""The `bwrap` of this machine, and the interpreter that becomes the first process inside."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from loopwright.errors import SandboxError

__all__ = ["find_bwrap", "interpreter"]

_MINIMUM = (0, 8, 0)
# Not the PATH of the user: what stands between us and a command must not come from a folder that somebody else may write.
_FOLDERS = "/usr/bin:/bin:/usr/local/bin"
_INSTALL = "`apt-get install bubblewrap`"


def find_bwrap(folders: str = _FOLDERS) -> tuple[str, str]:
    """Its path and its version. Raises: `SandboxError` when there is none that is safe to use."""
    path = shutil.which("bwrap", path=folders)
    if path is None:
        raise SandboxError(
            f"bubblewrap: step 'find bwrap' failed: no program 'bwrap' in {folders}; install it: {_INSTALL}"
        )
    if os.stat(path).st_mode & 0o6000:
        raise SandboxError(
            f"bubblewrap: step 'find bwrap' failed: {path} runs with its owner's rights (setuid), which CVE-2026-41163 turns into root; "
            f"expected one without: `chmod u-s,g-s {path}`"
        )
    try:
        said = subprocess.run(
            [path, "--version"], env={}, capture_output=True, check=True, timeout=10, text=True
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise SandboxError(
            f"bubblewrap: step 'bwrap --version' failed: {error}; install it again: {_INSTALL}"
        ) from error
    match = re.search(r"(\d+)\.(\d+)\.(\d+)", said)
    if match is None or tuple(map(int, match.groups())) < _MINIMUM:
        raise SandboxError(
            f"bubblewrap: step 'bwrap --version' failed: found {said.strip()!r}; expected 0.8.0 or newer: {_INSTALL}"
        )
    return path, match[0]


def interpreter() -> tuple[str, tuple[Path, ...]]:
    """The interpreter that runs us, as one path without links, and the folders that it needs besides the system's."""
    program = os.path.realpath(sys.executable)
    folders = (Path(os.path.realpath(sys.base_prefix)), Path(program).parent.parent)
    return program, tuple(
        dict.fromkeys(folder for folder in folders if not folder.is_relative_to("/usr") and folder != Path("/"))
    )
