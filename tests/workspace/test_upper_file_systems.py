"""Where overlays cannot keep their changes, candidates are full copies."""

from pathlib import Path, PurePosixPath

import pytest

from loopwright.workspace.mounts import file_system, takes_layers

MOUNTS = r"""
22 1 254:0 / / rw,relatime shared:1 - overlay overlay rw,lowerdir=/a
23 22 0:21 / /proc rw,nosuid - proc proc rw
30 22 0:26 / /tmp rw - tmpfs tmpfs rw
31 30 0:27 / /tmp/my\040disk rw - fuse.sshfs host: rw
32 22 8:1 / /data rw master:1 - ext4 /dev/sda1 rw
33 22 8:2 / /data rw - xfs /dev/sdb1 rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "overlay"),
        ("/home/ada", "overlay"),
        ("/tmp", "tmpfs"),
        ("/tmpfile", "overlay"),
        ("/tmp/my disk/x", "fuse.sshfs"),
        ("/data/repo/.loopwright", "xfs"),
    ],
)
def test_the_mount_that_a_path_lies_on_says_its_file_system(path: str, kind: str) -> None:
    assert file_system(MOUNTS, PurePosixPath(path)) == kind
    assert file_system("", PurePosixPath(path)) == ""


def test_a_file_system_in_memory_takes_layers() -> None:
    assert takes_layers(Path("/dev/shm"))
