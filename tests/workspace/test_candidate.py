"""A candidate is a faithful, disposable copy; what is done in it comes back as values, and nothing gets out of it."""

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from loopwright.errors import WorkspaceError
from loopwright.testing.memory import MemoryBlobs
from loopwright.workspace.git_workspace import GitWorkspace
from loopwright.workspace.protocol import Candidate
from loopwright.workspace.repository import Repository
from support.overlays import KINDS, Inside, checkout, inside, workspace
from support.repositories import added, deleted, make_repository

FILES = {
    ".gitignore": "build/\n*.log\n",
    "run.sh": "#!/bin/sh\n",
    "src/a.py": "a = 1\n",
    "src/b.py": "b = 1\n",
    "tests/test_a.py": "def test(): pass\n",
    "tests/data/in.txt": "1\n",
}


@pytest.fixture
def blobs() -> MemoryBlobs:
    return MemoryBlobs()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "r"


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def within(kind: str) -> Inside:
    return inside(kind)


@pytest.fixture
def candidate(root: Path, kind: str) -> Candidate:
    return checkout(root, FILES, kind)


def described(candidate: Candidate, blobs: MemoryBlobs) -> list[tuple[str, str, bytes | None]]:
    return [(c.path, c.mode, None if c.content is None else blobs.get(c.content)) for c in candidate.harvest(blobs)]


def test_a_copy_has_the_files_of_the_tree_writable_and_no_git(
    candidate: Candidate, blobs: MemoryBlobs, within: Inside
) -> None:
    with within(candidate) as here:
        files = sorted(str(path.relative_to(here)) for path in here.rglob("*") if path.is_file())
        assert files == sorted(FILES)
        assert (here / "src/a.py").read_text() == "a = 1\n"
        assert (here / "src/a.py").stat().st_mode & 0o200
        assert (here / "src").stat().st_mode & 0o200
    assert candidate.harvest(blobs) == ()


def test_modes_links_and_times_are_those_of_the_base(root: Path, kind: str, blobs: MemoryBlobs, within: Inside) -> None:
    make_repository(root, {"a": "1"})
    (root / "tool").write_text("#!/bin/sh\n")
    (root / "tool").chmod(0o755)
    (root / "link").symlink_to("a")
    tree = Repository.find(root).snapshot_commit("m", 0).tree
    one, two = (workspace(root, kind).checkout(tree, "x") for _ in range(2))
    with within(one) as here, within(two) as there:
        assert (here / "tool").stat().st_mode & 0o100
        assert not (here / "a").stat().st_mode & 0o100
        assert os.readlink(here / "link") == "a"
        assert (here / "a").stat().st_mtime_ns == (there / "a").stat().st_mtime_ns
    assert one.harvest(blobs) == two.harvest(blobs) == ()


def test_a_spoilt_base_is_made_anew_and_never_handed_out(root: Path) -> None:
    make_repository(root, FILES)
    found = Repository.find(root)
    workspace = GitWorkspace(found, root / ".loopwright")
    tree = found.tree_of("HEAD")
    workspace.checkout(tree, "x").discard()
    victim = root / ".loopwright" / "cache" / "trees" / tree / "files" / "src" / "a.py"
    victim.chmod(0o644)
    victim.write_text("a = 2\n")
    with workspace.checkout(tree, "x") as fresh:
        assert (fresh.path / "src/a.py").read_text() == "a = 1\n"
    assert victim.read_text() == "a = 1\n"


def test_harvest_finds_every_kind_of_change_in_order(candidate: Candidate, blobs: MemoryBlobs, within: Inside) -> None:
    with within(candidate) as here:
        (here / "src/a.py").write_text("a = 2\n")
        (here / "src/b.py").unlink()
        (here / "run.sh").chmod(0o755)
        (here / "src/new ü\n.py").write_bytes(b"\xff\x00")
        (here / "link").symlink_to("../outside")
    assert described(candidate, blobs) == [
        ("link", "120000", b"../outside"),
        ("run.sh", "100755", b"#!/bin/sh\n"),
        ("src/a.py", "100644", b"a = 2\n"),
        ("src/b.py", "100644", None),
        ("src/new ü\n.py", "100644", b"\xff\x00"),
    ]


def test_a_change_with_forged_size_and_times_is_found(candidate: Candidate, blobs: MemoryBlobs, within: Inside) -> None:
    with within(candidate) as here:
        target = here / "src/a.py"
        before = target.stat()
        target.write_text("a = 9\n")
        os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert [c.path for c in candidate.harvest(blobs)] == ["src/a.py"]


def test_files_become_folders_links_and_back(candidate: Candidate, blobs: MemoryBlobs, within: Inside) -> None:
    with within(candidate) as here:
        (here / "src/a.py").unlink()
        (here / "src/a.py").mkdir()
        (here / "src/a.py/inner.py").write_text("i")
        (here / "tests/data/in.txt").unlink()
        (here / "tests/data").rmdir()
        (here / "tests/data").symlink_to("/etc")
    changes = candidate.harvest(blobs)
    assert [(c.path, c.mode, c.content is None) for c in changes] == [
        ("src/a.py", "100644", True),
        ("src/a.py/inner.py", "100644", False),
        ("tests/data", "120000", False),
        ("tests/data/in.txt", "100644", True),
    ]


def test_a_folder_removed_and_made_again_has_lost_what_was_in_it(
    candidate: Candidate, blobs: MemoryBlobs, within: Inside
) -> None:
    with within(candidate) as here:
        shutil.rmtree(here / "tests")
        (here / "tests/data").mkdir(parents=True)
        (here / "tests/data/new.txt").write_text("n")
    assert candidate.read("tests/data/in.txt") is None
    assert candidate.read("tests/data/new.txt") == b"n"
    assert [(c.path, c.content is None) for c in candidate.harvest(blobs)] == [
        ("tests/data/in.txt", True),
        ("tests/data/new.txt", False),
        ("tests/test_a.py", True),
    ]
    assert candidate.restore(("tests/",)) == ("tests/data/in.txt", "tests/data/new.txt", "tests/test_a.py")
    with within(candidate) as here:
        assert sorted(path.name for path in (here / "tests").rglob("*")) == ["data", "in.txt", "test_a.py"]


def test_a_moved_folder_is_its_files_at_another_place(candidate: Candidate, blobs: MemoryBlobs, within: Inside) -> None:
    with within(candidate) as here:
        shutil.move(here / "src", here / "lib")
    assert described(candidate, blobs) == [
        ("lib/a.py", "100644", b"a = 1\n"),
        ("lib/b.py", "100644", b"b = 1\n"),
        ("src/a.py", "100644", None),
        ("src/b.py", "100644", None),
    ]


def test_what_is_written_from_outside_shows_inside_and_the_other_way_round(
    candidate: Candidate, blobs: MemoryBlobs, within: Inside
) -> None:
    candidate.write("src/a.py", b"a = 2\n")
    candidate.write("deep/down/x", b"x", "100755")
    candidate.remove("tests/data/in.txt")
    candidate.remove("nothing/there")
    with within(candidate) as here:
        assert (here / "src/a.py").read_text() == "a = 2\n"
        assert sorted(path.name for path in (here / "src").iterdir()) == ["a.py", "b.py"]
        assert (here / "deep/down/x").stat().st_mode & 0o777 == 0o755
        assert not (here / "tests/data").exists()
        (here / "src/b.py").write_text("b = 2\n")
        (here / "deep/down/x").unlink()
    assert [candidate.read(path) for path in ("src/a.py", "src/b.py", "deep/down/x", "run.sh", "no")] == [
        b"a = 2\n",
        b"b = 2\n",
        None,
        b"#!/bin/sh\n",
        None,
    ]
    assert [c.path for c in candidate.harvest(blobs)] == ["src/a.py", "src/b.py", "tests/data/in.txt"]


def test_what_is_no_regular_file_is_not_read(candidate: Candidate, within: Inside) -> None:
    with within(candidate) as here:
        (here / "link").symlink_to("run.sh")
        (here / "folder").symlink_to("src")
        os.mkfifo(here / "pipe")
    for path in ("link", "pipe", "src"):
        with pytest.raises(WorkspaceError, match="regular file"):
            candidate.read(path)
    with pytest.raises(WorkspaceError, match="more than 3 bytes"):
        candidate.read("src/a.py", limit_bytes=3)
    assert candidate.read("folder/a.py") is None


def test_caches_and_what_the_base_ignores_are_left_out(
    candidate: Candidate, blobs: MemoryBlobs, within: Inside
) -> None:
    with within(candidate) as here:
        for path in ("src/__pycache__/a.pyc", ".pytest_cache/x", ".coverage", "build/deep/out", "src/x.log"):
            (here / path).parent.mkdir(parents=True, exist_ok=True)
            (here / path).write_text("x")
        os.mkfifo(here / "build" / "pipe")
    assert candidate.harvest(blobs) == ()


def test_a_candidate_cannot_hide_a_change_with_its_own_gitignore(
    candidate: Candidate, blobs: MemoryBlobs, within: Inside
) -> None:
    with within(candidate) as here:
        (here / ".gitignore").write_text("*\n")
        (here / "new").mkdir()
        (here / "new" / ".gitignore").write_text("*\n")
        (here / "new" / "hidden.py").write_text("h")
        (here / "evil.py").write_text("e")
    found = [c.path for c in candidate.harvest(blobs)]
    assert found == [".gitignore", "evil.py", "new/.gitignore", "new/hidden.py"]


def test_a_tracked_file_in_an_ignored_or_cache_folder_counts(
    root: Path, kind: str, blobs: MemoryBlobs, within: Inside
) -> None:
    make_repository(root, {"build/kept.txt": "1", "__pycache__/odd.py": "1", "link/x": "1"})
    (root / ".gitignore").write_text("build/\n")
    candidate = workspace(root, kind).checkout(Repository.find(root).snapshot_commit("m", 0).tree, "x")
    with within(candidate) as here:
        (here / "build/kept.txt").write_text("2")
        (here / "build/other.txt").write_text("2")
        (here / "__pycache__/odd.py").write_text("2")
    assert [c.path for c in candidate.harvest(blobs)] == ["__pycache__/odd.py", "build/kept.txt"]


def _fifo(here: Path) -> None:
    os.mkfifo(here / "src" / "pipe")


def _fifo_for_file(here: Path) -> None:
    (here / "src/a.py").unlink()
    os.mkfifo(here / "src/a.py")


def _socket(here: Path) -> None:
    server = socket.socket(socket.AF_UNIX)
    before = Path.cwd()
    os.chdir(here)  # the path of a socket must be short
    server.bind("sock")
    os.chdir(before)
    server.close()


def _nested_git(here: Path) -> None:
    (here / "src" / ".git" / "hooks").mkdir(parents=True)


def _git_pointer(here: Path) -> None:
    (here / ".GIT").write_text("gitdir: /elsewhere\n")


def _odd_name(here: Path) -> None:
    (here / os.fsdecode(b"caf\xe9")).write_text("x")


def _deep(here: Path) -> None:
    (here / "/".join(["d"] * 400)).mkdir(parents=True)


@pytest.mark.parametrize(
    ("plant", "says"),
    [
        (_fifo, "'src/pipe', a FIFO, socket or device"),
        (_fifo_for_file, "'src/a.py', a FIFO, socket or device"),
        (_socket, "'sock', a FIFO, socket or device"),
        (_nested_git, "'src/.git', a git repository of its own"),
        (_git_pointer, "'.GIT', a git repository of its own"),
        (_odd_name, r"'caf\\xe9', whose name is not UTF-8"),
        (_deep, "more than 200 deep"),
    ],
)
def test_harvest_refuses_what_cannot_be_a_change(
    candidate: Candidate, blobs: MemoryBlobs, within: Inside, plant: Callable[[Path], None], says: str
) -> None:
    with within(candidate) as here:
        plant(here)
    with pytest.raises(WorkspaceError) as caught:
        candidate.harvest(blobs)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    candidate.discard()
    assert not candidate.path.exists()


def test_harvest_refuses_a_flood_of_files(candidate: Candidate, blobs: MemoryBlobs, within: Inside) -> None:
    with within(candidate) as here:
        for folder in range(101):
            (here / f"d{folder}").mkdir()
            for name in range(100):
                os.close(os.open(here / f"d{folder}/{name}", os.O_CREAT | os.O_WRONLY))
    with pytest.raises(WorkspaceError, match="expected at most 10000 files"):
        candidate.harvest(blobs)


def test_harvest_refuses_a_flood_of_bytes(candidate: Candidate, blobs: MemoryBlobs, within: Inside) -> None:
    with within(candidate) as here, (here / "big").open("wb") as file:
        file.truncate((100 << 20) + 1)
    with pytest.raises(WorkspaceError, match="104857600 bytes"):
        candidate.harvest(blobs)


def test_applied_changes_are_harvested_as_the_same_changes(
    candidate: Candidate, blobs: MemoryBlobs, within: Inside
) -> None:
    changes = (
        added(blobs, "link", "src/a.py", "120000"),
        deleted("run.sh"),
        added(blobs, "run.sh/now/a/folder", "x"),
        added(blobs, "src/a.py", "a = 2\n", "100755"),
        added(blobs, "tests/data", "a file now"),
        deleted("tests/data/in.txt"),
    )
    candidate.apply(changes, blobs)
    assert candidate.harvest(blobs) == changes
    with within(candidate) as here:
        assert os.readlink(here / "link") == "src/a.py"
        assert (here / "run.sh/now/a/folder").read_text() == "x"
        assert (here / "src/a.py").read_text() == "a = 2\n"
        assert (here / "tests/data").read_text() == "a file now"
    assert candidate.harvest(blobs) == changes


@pytest.mark.parametrize(
    "path",
    [
        "../out",
        "src/../../out",
        "/etc/out",
        "",
        ".",
        "src//x",
        "src/",
        ".git/config",
        "src/.GIT/hooks/x",
        "a\0b",
        "x" * 300,
    ],
)
def test_a_path_outside_or_of_git_is_not_applied(
    candidate: Candidate, blobs: MemoryBlobs, path: str, root: Path
) -> None:
    before = sorted(root.rglob("*"))
    with pytest.raises(WorkspaceError, match="path"):
        candidate.apply([added(blobs, path, "x")], blobs)
    assert sorted(root.rglob("*")) == before


def test_no_change_is_written_through_a_link(
    candidate: Candidate, blobs: MemoryBlobs, tmp_path: Path, within: Inside
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "victim").write_text("safe")
    with pytest.raises(WorkspaceError, match="which is a link or a file"):
        candidate.apply([added(blobs, "d", str(outside), "120000"), added(blobs, "d/victim", "gone")], blobs)
    with pytest.raises(WorkspaceError, match="which is a link or a file"):
        candidate.apply([added(blobs, "d/new", "gone")], blobs)
    candidate.apply([deleted("d/victim")], blobs)
    with within(candidate) as here:
        (here / "soft").symlink_to(outside / "victim")
    if not candidate.overlays:  # a link into another file system cannot be made
        os.link(outside / "victim", candidate.path / "hard")
    candidate.apply([added(blobs, "hard", "mine"), added(blobs, "soft", "mine")], blobs)
    assert [path.read_text() for path in outside.iterdir()] == ["safe"]


def test_restore_puts_content_mode_and_absence_back(candidate: Candidate, within: Inside) -> None:
    with within(candidate) as here:
        (here / "tests/test_a.py").write_text("def test(): assert True\n")
        (here / "tests/data/in.txt").unlink()
        (here / "tests/__pycache__").mkdir()
        (here / "tests/__pycache__/test_a.cpython-311.pyc").write_text("evil")
        (here / "tests/conftest.py").write_text("evil")
        (here / "tests/x.log").write_text("ignored by git, not by restore")
        os.mkfifo(here / "tests/pipe")
        (here / "run.sh").chmod(0o755)
        (here / "src/a.py").write_text("the change that stays\n")
    assert candidate.restore(("tests/", "run.sh")) == (
        "run.sh",
        "tests/__pycache__/test_a.cpython-311.pyc",
        "tests/conftest.py",
        "tests/data/in.txt",
        "tests/pipe",
        "tests/test_a.py",
        "tests/x.log",
    )
    assert candidate.restore(("tests/", "run.sh")) == ()
    with within(candidate) as here:
        left = sorted(str(path.relative_to(here)) for path in (here / "tests").rglob("*"))
        assert left == ["tests/data", "tests/data/in.txt", "tests/test_a.py"]
        assert (here / "tests/test_a.py").read_text() == FILES["tests/test_a.py"]
        assert not (here / "run.sh").stat().st_mode & 0o100
        assert (here / "src/a.py").read_text() == "the change that stays\n"


def test_restore_replaces_a_link_in_the_place_of_a_protected_folder(
    candidate: Candidate, tmp_path: Path, within: Inside
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    with within(candidate) as here:
        shutil.rmtree(here / "tests")
        (here / "tests").symlink_to(outside)
    assert candidate.restore(("tests/**/*",)) == ("tests/data/in.txt", "tests/test_a.py")
    with within(candidate) as here:
        assert not (here / "tests").is_symlink()
        assert sorted(path.name for path in (here / "tests").rglob("*")) == ["data", "in.txt", "test_a.py"]
        assert (here / "tests/data/in.txt").read_text() == "1\n"
    assert list(outside.iterdir()) == []


def test_folders_without_permissions_are_harvested_and_discarded(
    candidate: Candidate, blobs: MemoryBlobs, within: Inside
) -> None:
    with within(candidate) as here:
        (here / "locked/inner").mkdir(parents=True)
        (here / "locked/inner/x").write_text("x")
        (here / "locked/inner/x").chmod(0)
        (here / "locked/inner").chmod(0)
        (here / "locked").chmod(0)
    assert [c.path for c in candidate.harvest(blobs)] == ["locked/inner/x"]
    with within(candidate) as here:
        (here / "locked").chmod(0)
    home = candidate.path.parent
    candidate.discard()
    assert not home.exists()
    candidate.discard()


def test_leaving_the_block_discards_it(candidate: Candidate, within: Inside) -> None:
    with candidate as entered:
        with within(candidate) as here:
            assert here.is_dir()
        assert entered.path.is_dir()
    assert not candidate.path.parent.exists()
