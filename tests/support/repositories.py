"""Real little git repositories for tests, and values for changes to them."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from loopwright.journal.protocol import BlobStore
from loopwright.kernel.values import Change

__all__ = ["added", "deleted", "git", "make_repository"]


def git(directory: Path, *args: str) -> str:
    """The user's own git, with the configuration that the repository has and none of this machine's."""
    env = {"PATH": os.environ["PATH"], "HOME": str(directory), "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C"}
    identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "init.defaultBranch=main")
    done = subprocess.run(["git", *identity, *args], cwd=directory, env=env, capture_output=True, check=True)
    return done.stdout.decode("utf-8", "surrogateescape").strip()


def make_repository(root: Path, files: Mapping[str, str | bytes]) -> Path:
    """A repository with one commit that holds `files`."""
    root.mkdir(parents=True, exist_ok=True)
    git(root, "init", "-q")
    for path, text in files.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text if isinstance(text, bytes) else text.encode())
    git(root, "add", "-A")
    git(root, "commit", "-q", "--allow-empty", "-m", "base")
    return root


def added(
    blobs: BlobStore, path: str, content: str | bytes, mode: Literal["100644", "100755", "120000"] = "100644"
) -> Change:
    return Change(
        path=path, mode=mode, content=blobs.put(content if isinstance(content, bytes) else content.encode(), exact=True)
    )


def deleted(path: str) -> Change:
    return Change(path=path, mode="100644", content=None)
