"""Which file system a folder lies on, and whether an overlay can keep its changes there."""

import re
from pathlib import Path, PurePosixPath

__all__ = ["file_system", "takes_layers"]

_NO_UPPER = frozenset(
    {"9p", "aufs", "cifs", "ecryptfs", "exfat", "msdos", "nfs", "nfs4", "ntfs3", "overlay", "smb3", "vfat"}
)
"""They lack what overlayfs needs of an upper layer: extended attributes, whiteouts, or both; see the kernel's overlayfs.rst."""


def takes_layers(folder: Path) -> bool:
    """Whether `folder`, which exists, can hold upper layers; `False` where it cannot be told, and full copies are made then."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape")
    except OSError:
        return False
    kind = file_system(mounts, PurePosixPath(folder.resolve()))
    return bool(kind) and kind not in _NO_UPPER and not kind.startswith("fuse")


def file_system(mounts: str, path: PurePosixPath) -> str:
    """The type of the file system at an absolute `path` without links; `mounts` is what `/proc/self/mountinfo` says. Empty = not known."""
    found, depth = "", -1
    for line in mounts.splitlines():
        front, separator, back = line.partition(" - ")
        fields = front.split(" ")
        if not separator or len(fields) < 5:
            continue
        point = PurePosixPath(re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), fields[4]))
        # Of two at the same place the later one covers the earlier.
        if path.is_relative_to(point) and len(point.parts) >= depth:
            found, depth = back.split(" ")[0], len(point.parts)
    return found
