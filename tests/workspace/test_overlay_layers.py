"""The layers of an overlay on this side: whose they are, that nothing spoilt is handed out, and that they go when nobody needs them."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from loopwright.errors import WorkspaceError
from loopwright.testing.memory import MemoryBlobs
from loopwright.workspace.garbage import collect_garbage
from loopwright.workspace.git_workspace import GitWorkspace
from loopwright.workspace.lower import ensure_lower
from loopwright.workspace.repository import Repository
from support.overlays import KINDS, inside
from support.repositories import added, deleted, git, make_repository

ROOT = os.geteuid() == 0
UID = 61_100 if ROOT else os.getuid()
"""Who the command inside would be: nobody in particular where we are root."""
REDIRECT = ("d", "user.overlay.redirect", "moved with a redirect")
METACOPY = ("a.py", "trusted.overlay.metacopy", "lacks its content")
READ_ANEW = """
import sys
from pathlib import Path
from loopwright.workspace.git_workspace import GitWorkspace
from loopwright.workspace.repository import Repository
found = Repository.find(Path(sys.argv[1]))
workspace = GitWorkspace(found, found.root / ".loopwright", overlay=True, uid=int(sys.argv[2]))
with workspace.checkout(found.tree_of("HEAD"), "x") as candidate:
    print(candidate.read("a.py"), (candidate.overlays[0].lower / "planted").exists())
"""


class Place:
    def __init__(self, root: Path) -> None:
        self.root = make_repository(root, {"a.py": "a = 1\n", "tool": "#!/bin/sh\n", "d/b.py": "b = 1\n"})
        (root / "tool").chmod(0o755)
        git(root, "commit", "-q", "-am", "a program")
        found = Repository.find(root)
        self.tree = found.tree_of("HEAD")
        self.git = found.git
        self.runtime = root / ".loopwright"
        self.workspace = GitWorkspace(found, self.runtime, overlay=True, uid=UID)

    def lower(self) -> Path:
        return self.runtime / "cache" / "lower" / f"{self.tree}.{UID}"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "r")


def test_the_lower_layer_is_the_commands_own_to_change_and_nobody_elses_to_see(place: Place) -> None:
    with place.workspace.checkout(place.tree, "x") as candidate:
        lower = candidate.overlays[0].lower
        found = {path: os.lstat(lower / path) for path in ("a.py", "tool", "d", "d/b.py")}
        above = os.lstat(lower.parent)
    assert {path: stat.S_IMODE(s.st_mode) for path, s in found.items()} == {
        "a.py": 0o644,
        "tool": 0o755,
        "d": 0o755,
        "d/b.py": 0o644,
    }
    assert {s.st_uid for s in found.values()} == {UID}
    assert (above.st_uid, stat.S_IMODE(above.st_mode)) == (os.getuid(), 0o700)


def test_what_the_runtime_writes_is_the_commands_own(place: Place) -> None:
    blobs = MemoryBlobs()
    with place.workspace.checkout(place.tree, "x") as candidate:
        changes = (added(blobs, "l", "a.py", "120000"), added(blobs, "n/m/x", "x"), deleted("d/b.py"))
        candidate.apply(changes, blobs)
        upper = candidate.overlays[0].upper
        owners = {str(p.relative_to(upper)): os.lstat(p).st_uid for p in (upper, *upper.rglob("*"))}
    assert owners == dict.fromkeys((".", "d", "l", "n", "n/m", "n/m/x"), UID)


def test_a_lower_layer_is_read_once_by_a_process(place: Place) -> None:
    cache = place.runtime / "cache" / "lower"
    first = ensure_lower(cache, place.tree, place.git, UID)
    assert ensure_lower(cache, place.tree, place.git, UID) is first


@pytest.mark.parametrize("spoil", ["change", "add"])
def test_a_lower_layer_that_was_spoilt_is_made_anew_by_the_next_process(place: Place, spoil: str) -> None:
    place.workspace.checkout(place.tree, "x").discard()
    victim = place.lower() / "files" / "a.py"
    before = victim.stat()
    if spoil == "change":
        victim.write_text("a = 2\n")
        os.utime(victim, ns=(before.st_atime_ns, before.st_mtime_ns))
    else:
        (victim.parent / "planted").write_text("import evil\n")
    argv = [sys.executable, "-c", READ_ANEW, str(place.root), str(UID)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert done.stdout == "b'a = 1\\n' False\n"


@pytest.mark.parametrize(("path", "note", "says"), [REDIRECT, METACOPY] if ROOT else [REDIRECT])
def test_a_layer_of_another_kind_of_mount_is_refused(place: Place, path: str, note: str, says: str) -> None:
    """What it shows cannot be told from the layer alone; an ordinary user's mount makes no such thing as the second."""
    with place.workspace.checkout(place.tree, "x") as candidate:
        candidate.write("a.py", b"a = 2\n")
        candidate.write("d/new.py", b"n")
        os.setxattr(candidate.overlays[0].upper / path, note, b"y")
        with pytest.raises(WorkspaceError, match=says):
            candidate.harvest(MemoryBlobs())


def test_garbage_goes_with_what_an_overlay_leaves_and_the_layer_of_an_active_one_stays(place: Place) -> None:
    old, active = (place.workspace.checkout(place.tree, label) for label in ("run-1", "run-2"))
    with inside(KINDS[-1])(old) as here:  # root mounts for another user, a user for himself
        (here / "big").write_bytes(b"x" * 100_000)
        (here / "d").chmod(0)
    assert stat.S_IMODE((old.overlays[0].work / "work").stat().st_mode) == 0, "as the kernel leaves it"
    late_ms = place.lower().stat().st_mtime_ns // 1_000_000 + 3_601_000
    assert collect_garbage(place.runtime, ["run-2"], trees_older_than_s=3600, now_ms=late_ms) >= 100_000
    assert not old.path.parent.exists()
    assert active.read("a.py") == b"a = 1\n"
    active.discard()
    assert collect_garbage(place.runtime, [], trees_older_than_s=3600, now_ms=late_ms) > 0
    assert not place.lower().exists()


def test_a_submodule_is_an_empty_folder_that_cannot_be_written_into(place: Place, tmp_path: Path) -> None:
    inner = make_repository(tmp_path / "inner", {"m": ""})
    git(place.root, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner), "deps/inner")
    git(place.root, "commit", "-q", "-m", "submodule")
    tree = Repository.find(place.root).tree_of("HEAD")
    blobs = MemoryBlobs()
    with place.workspace.checkout(tree, "x") as candidate:
        candidate.write("a.py", b"a = 2\n")
        candidate.write("deps/beside", b"")
        assert [change.path for change in candidate.harvest(blobs)] == ["a.py", "deps/beside"]
        candidate.write("deps/inner/x", b"x")
        with pytest.raises(WorkspaceError, match="'deps/inner', which is a submodule"):
            candidate.harvest(blobs)
