"""A proposer's copy without some files: they are not there, and that is no change."""

from pathlib import Path

import pytest

from loopwright.errors import WorkspaceError
from loopwright.kernel.values import Change
from loopwright.testing.memory import MemoryBlobs
from loopwright.workspace.git_workspace import GitWorkspace
from loopwright.workspace.hiding import HidingWorkspace
from loopwright.workspace.protocol import Candidate, Workspace
from loopwright.workspace.repository import Repository
from support.overlays import KINDS, Inside, inside, workspace
from support.repositories import added, deleted, make_repository

FILES = {
    "src/a.py": "a = 1\n",
    "tests/test_a.py": "def test_a(): pass\n",
    "tests/test_held.py": "def test_held(): pass\n",
    "tests/deep/test_held.py": "def test_deep(): pass\n",
}
HIDDEN = ("tests/test_held.py", "tests/deep/test_held.py", "tests/test_of_another_tree.py")


@pytest.fixture
def blobs() -> MemoryBlobs:
    return MemoryBlobs()


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def within(kind: str) -> Inside:
    return inside(kind)


@pytest.fixture
def site(tmp_path: Path, kind: str) -> tuple[GitWorkspace, str]:
    root = make_repository(tmp_path / "r", FILES)
    return workspace(root, kind), Repository.find(root).tree_of("HEAD")


@pytest.fixture
def candidate(site: tuple[GitWorkspace, str]) -> Candidate:
    return HidingWorkspace(site[0], HIDDEN).checkout(site[1], "propose")


def brief(changes: tuple[Change, ...]) -> list[tuple[str, bool]]:
    return [(c.path, c.content is None) for c in changes]


def test_hidden_files_are_not_there_and_their_absence_is_no_change(
    candidate: Candidate, blobs: MemoryBlobs, within: Inside
) -> None:
    with within(candidate) as here:
        assert sorted(str(p.relative_to(here)) for p in here.rglob("*.py")) == ["src/a.py", "tests/test_a.py"]
        (here / "src/a.py").write_text("a = 2\n")
        (here / "tests/test_a.py").unlink()
    assert candidate.read("tests/test_held.py") is None
    assert brief(candidate.harvest(blobs)) == [("src/a.py", False), ("tests/test_a.py", True)]


def test_a_program_that_writes_at_a_hidden_path_has_changed_it(
    candidate: Candidate, blobs: MemoryBlobs, within: Inside
) -> None:
    with within(candidate) as here:
        (here / "tests/test_held.py").write_text("mine\n")
    (change,) = candidate.harvest(blobs)
    assert change.path == "tests/test_held.py"
    assert change.content is not None
    assert blobs.get(change.content) == b"mine\n"


def test_a_folder_in_the_place_of_a_hidden_file_and_a_file_in_the_place_of_its_folder_can_be_kept(
    site: tuple[GitWorkspace, str], candidate: Candidate, blobs: MemoryBlobs, within: Inside
) -> None:
    with within(candidate) as here:
        (here / "tests/test_held.py").mkdir()
        (here / "tests/test_held.py/x").write_text("x")
        (here / "tests/deep").write_text("no folder")
    changes = candidate.harvest(blobs)
    assert brief(changes) == [
        ("tests/deep", False),
        ("tests/deep/test_held.py", True),
        ("tests/test_held.py", True),
        ("tests/test_held.py/x", False),
    ]
    with site[0].checkout(site[1], "check") as other:
        other.apply(changes, blobs)
        assert other.read("tests/deep") == b"no folder"


def test_hidden_files_stay_in_what_is_kept(
    tmp_path: Path, site: tuple[GitWorkspace, str], candidate: Candidate, blobs: MemoryBlobs, within: Inside
) -> None:
    with within(candidate) as here:
        (here / "src/a.py").write_text("a = 3\n")
    hiding: Workspace = HidingWorkspace(site[0], HIDDEN)
    head = Repository.find(tmp_path / "r").head
    kept = hiding.commit(head, candidate.harvest(blobs), blobs, message="m", at_ms=0)
    assert site[0].paths(kept.tree) == site[0].paths(site[1])
    hiding.move_branch("loopwright/x", kept.commit, expected=None)
    assert hiding.branch_head("loopwright/x") == kept.commit
    assert hiding.diff(site[1], (deleted("src/a.py"),), blobs).startswith("diff --git a/src/a.py")


def test_a_tree_is_read_and_listed_without_them(site: tuple[GitWorkspace, str]) -> None:
    hiding = HidingWorkspace(site[0], HIDDEN)
    assert hiding.paths(site[1]) == ("src/a.py", "tests/test_a.py")
    assert hiding.read(site[1], "tests/test_held.py") is None
    assert hiding.read(site[1], "src/a.py") == b"a = 1\n"


def test_putting_protected_files_back_does_not_bring_hidden_ones_to_light(
    candidate: Candidate, blobs: MemoryBlobs, within: Inside
) -> None:
    with within(candidate) as here:
        (here / "tests/test_a.py").write_text("weak\n")
    assert candidate.restore(("tests/",)) == ("tests/test_a.py",)
    with within(candidate) as here:
        assert not (here / "tests/test_held.py").exists()
        assert not (here / "tests/deep").exists()
    assert candidate.harvest(blobs) == ()


@pytest.mark.parametrize("text", ["planted\n", FILES["tests/test_held.py"]])
def test_what_was_planted_at_a_hidden_path_is_put_back_to_nothing(
    candidate: Candidate, blobs: MemoryBlobs, within: Inside, text: str
) -> None:
    with within(candidate) as here:
        (here / "tests/test_held.py").write_text(text)
    assert candidate.restore(("tests/",)) == ("tests/test_held.py",)
    assert candidate.read("tests/test_held.py") is None
    assert candidate.harvest(blobs) == ()


def test_a_link_at_a_hidden_path_is_no_way_to_its_content(
    candidate: Candidate, blobs: MemoryBlobs, within: Inside
) -> None:
    with within(candidate) as here:
        (here / "tests/test_held.py").symlink_to("../src/a.py")
    assert candidate.restore(("tests/",)) == ("tests/test_held.py",)
    with within(candidate) as here:
        assert not (here / "tests/test_held.py").is_symlink()


def test_changes_are_applied_and_files_written_as_anywhere(candidate: Candidate, blobs: MemoryBlobs) -> None:
    with candidate:
        candidate.apply((added(blobs, "src/b.py", "b\n"), deleted("src/a.py")), blobs)
        candidate.write("src/c.py", b"c\n")
        candidate.remove("tests/test_a.py")
        assert brief(candidate.harvest(blobs)) == [
            ("src/a.py", True),
            ("src/b.py", False),
            ("src/c.py", False),
            ("tests/test_a.py", True),
        ]
        with pytest.raises(WorkspaceError):
            candidate.apply((added(blobs, "../x", "x"),), blobs)
    assert not candidate.path.exists()
