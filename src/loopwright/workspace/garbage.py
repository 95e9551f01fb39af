"""Frees what runs leave behind and can be made again: candidates that nobody uses, copies of trees. Never a commit or an event."""

import contextlib
import os
import re
import stat
from collections.abc import Collection
from pathlib import Path

from loopwright.sandbox.remove import remove_tree
from loopwright.workspace.overlay import LOWER

__all__ = ["collect_garbage", "folder_label"]


def folder_label(label: str) -> str:
    """`label` as it stands in the name of a candidate's folder."""
    return re.sub("[^A-Za-z0-9._-]", "_", label)


def collect_garbage(runtime_dir: Path, active_labels: Collection[str], *, trees_older_than_s: int, now_ms: int) -> int:
    """Remove candidates whose label is not active, and tree copies that were not used for `trees_older_than_s` (`0` = all).

    A layer that a remaining candidate lies on stays too. Returns the bytes freed. What cannot be removed is left and not counted.
    """
    freed_bytes = 0
    active = {folder_label(label) for label in active_labels}
    for home in _children(runtime_dir / "work"):
        # `<label>-<random>`: the random part has no '-' before it that is not the separator.
        if home.name.rpartition("-")[0] not in active:
            freed_bytes += _freed(home)
    used = _used_layers(runtime_dir)
    oldest_s = now_ms / 1000 - trees_older_than_s
    for folder in ("trees", "lower", "scratch"):
        for entry in _children(runtime_dir / "cache" / folder):
            with contextlib.suppress(FileNotFoundError):
                if entry.name not in used and entry.stat(follow_symlinks=False).st_mtime <= oldest_s:
                    freed_bytes += _freed(entry)
    return freed_bytes


def _used_layers(runtime_dir: Path) -> set[str]:
    used: set[str] = set()
    for home in _children(runtime_dir / "work"):
        with contextlib.suppress(OSError):  # a full copy lies on nothing
            used.add(Path(os.readlink(home / LOWER)).name)
    return used


def _children(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return []


def _freed(place: Path) -> int:
    size_bytes = 0
    for folder, _, names in os.walk(place):
        for name in names:
            with contextlib.suppress(OSError):
                status = os.lstat(os.path.join(folder, name))
                size_bytes += status.st_size if stat.S_ISREG(status.st_mode) else 0
    return size_bytes if remove_tree(place) else 0
