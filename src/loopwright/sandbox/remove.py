"""Deletes a directory that a stranger filled, whatever modes and depths it left there."""

import shutil
import subprocess
from pathlib import Path

__all__ = ["remove_tree"]


def remove_tree(path: Path) -> bool:
    """Delete `path` and everything below it, never through a symbolic link. Returns whether it is gone.

    The second way is for what `rmtree` cannot do: folders without permissions (an overlay leaves a mode-000 `work/`) and nests
    deeper than Python's recursion. Both tools refuse to follow links while they descend.
    """
    try:
        shutil.rmtree(path)
    except FileNotFoundError:
        return not path.exists()
    except (OSError, RecursionError):
        for command in (["chmod", "-R", "u+rwx", "--"], ["rm", "-rf", "--"]):
            subprocess.run([*command, str(path)], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return not path.exists()
