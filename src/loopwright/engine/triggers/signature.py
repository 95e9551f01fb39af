"""Whether a file may have changed, for the price of one `stat`."""

import os
from pathlib import Path

__all__ = ["Signature", "signature_from", "signature_of"]

Signature = tuple[int, int, int, int]
"""Inode, size, and the times of the last change of content and of anything, in nanoseconds; all zero = nothing there."""


def signature_of(path: Path) -> Signature:
    """Links are followed."""
    try:
        return signature_from(path.stat())
    except OSError:
        return (0, 0, 0, 0)


def signature_from(found: os.stat_result) -> Signature:
    # The time of change cannot be set back by a tool that keeps the other one; a rename gives another inode.
    return (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
