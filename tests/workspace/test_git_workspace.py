"""Commits, diffs and branches: the same ids everywhere, nothing of the user's moved, nothing lost."""

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from loopwright.errors import WorkspaceError
from loopwright.testing.memory import MemoryBlobs
from loopwright.workspace.garbage import collect_garbage
from loopwright.workspace.git_workspace import GitWorkspace
from loopwright.workspace.repository import Repository
from support.repositories import added, deleted, git, make_repository

BRANCH = "loopwright/fix/r1"


class Place:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.repository = Repository.find(root)
        self.workspace = GitWorkspace(self.repository, root / ".loopwright")
        self.head = self.repository.head
        self.tree = self.repository.tree_of("HEAD")


@pytest.fixture
def blobs() -> MemoryBlobs:
    return MemoryBlobs()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(make_repository(tmp_path / "r", {"a.py": "a = 1\n", "d/b.py": "b = 1\n", "ü \n.txt": "u\n"}))


def test_files_are_read_from_a_tree(place: Place) -> None:
    assert place.workspace.paths(place.tree) == ("a.py", "d/b.py", "ü \n.txt")
    assert place.workspace.read(place.tree, "ü \n.txt") == b"u\n"
    assert place.workspace.read(place.tree, "d") is None
    assert place.workspace.read(place.tree, "nope") is None


def test_a_commit_has_the_changes_the_fixed_author_and_a_repeatable_id(place: Place, blobs: MemoryBlobs) -> None:
    changes = [added(blobs, "d", "now a file\n", "100755"), deleted("d/b.py"), added(blobs, "l", "a.py", "120000")]
    one = place.workspace.commit(
        place.head, changes, blobs, message="keep: é\n\nLoopwright-Run: r1\n", at_ms=1_700_000_000_999
    )
    again = Place(place.root).workspace.commit(
        place.head, list(reversed(changes)), blobs, message="keep: é\n\nLoopwright-Run: r1\n", at_ms=1_700_000_000_999
    )
    assert one == again
    assert git(place.root, "ls-tree", "-r", "--format=%(objectmode) %(path)", one.commit).splitlines() == [
        "100644 a.py",
        "100755 d",
        "120000 l",
        '100644 "\\303\\274 \\n.txt"',
    ]
    assert git(place.root, "log", "-1", "--format=%an <%ae> %ct %cI", one.commit) == (
        "loopwright <loopwright@localhost> 1700000000 2023-11-14T22:13:20+00:00"
    )
    assert git(place.root, "log", "-1", "--format=%(trailers:key=Loopwright-Run,valueonly)", one.commit) == "r1"
    assert git(place.root, "rev-parse", f"{one.commit}^") == place.head
    assert git(place.root, "status", "--porcelain", "--untracked-files=no") == ""
    assert git(place.root, "for-each-ref", "--format=%(refname)") == "refs/heads/main"


def test_a_tree_with_changes_checks_out_as_the_candidate_was(place: Place, blobs: MemoryBlobs) -> None:
    with place.workspace.checkout(place.tree, "x") as one:
        (one.path / "a.py").write_text("a = 2\n")
        (one.path / "d/b.py").unlink()
        changes = one.harvest(blobs)
    tree = place.workspace.tree_with(place.tree, changes, blobs)
    with place.workspace.checkout(tree, "x") as two:
        assert (two.path / "a.py").read_text() == "a = 2\n"
        assert not (two.path / "d").exists()
        assert two.harvest(blobs) == ()
    assert place.workspace.tree_with(place.tree, (), blobs) == place.tree


def test_the_diff_is_applied_by_git_for_text_binary_latin_1_links_and_modes(place: Place, blobs: MemoryBlobs) -> None:
    changes = [
        added(blobs, "a.py", "a = 2\n", "100755"),
        added(blobs, "bin", b"\0\xff" * 50),
        added(blobs, "latin [1].txt", "caf\xe9\n".encode("latin-1")),
        added(blobs, "l", "a.py", "120000"),
        deleted("ü \n.txt"),
    ]
    diff = place.workspace.diff(place.tree, changes, blobs)
    assert "-a = 1\n+a = 2\n" in diff
    subprocess.run(["git", "apply", "--index", "-"], cwd=place.root, input=diff.encode(), check=True)
    assert git(place.root, "write-tree") == place.workspace.tree_with(place.tree, changes, blobs)


def test_the_users_look_of_diffs_does_not_change_ours(place: Place, blobs: MemoryBlobs) -> None:
    changes = [added(blobs, "a.py", "a = 2\n")]
    plain = place.workspace.diff(place.tree, changes, blobs)
    for key, value in (
        ("diff.noprefix", "true"),
        ("color.ui", "always"),
        ("diff.external", "false"),
        ("diff.context", "0"),
    ):
        git(place.root, "config", key, value)
    assert place.workspace.diff(place.tree, changes, blobs) == plain


def test_a_branch_is_made_moved_and_found_moved_already(place: Place, blobs: MemoryBlobs) -> None:
    workspace = place.workspace
    one = workspace.commit(place.head, [added(blobs, "a.py", "1")], blobs, message="1", at_ms=0).commit
    two = workspace.commit(one, [added(blobs, "a.py", "2")], blobs, message="2", at_ms=0).commit
    assert workspace.branch_head(BRANCH) is None
    workspace.move_branch(BRANCH, one, expected=None)
    workspace.move_branch(BRANCH, one, expected=None)
    workspace.move_branch(BRANCH, two, expected=one)
    workspace.move_branch(BRANCH, two, expected=one)
    assert workspace.branch_head(BRANCH) == two == place.repository.branch_commit(BRANCH)


def test_a_branch_that_somebody_moved_is_saved_before_anything_else(place: Place, blobs: MemoryBlobs) -> None:
    workspace = place.workspace
    ours = workspace.commit(place.head, [added(blobs, "a.py", "1")], blobs, message="1", at_ms=0).commit
    theirs = workspace.commit(place.head, [added(blobs, "a.py", "2")], blobs, message="2", at_ms=0).commit
    git(place.root, "branch", BRANCH, theirs)
    for expected in (None, place.head):
        with pytest.raises(WorkspaceError, match=f"saved as refs/loopwright/salvage/{BRANCH}/{theirs[:12]}"):
            workspace.move_branch(BRANCH, ours, expected=expected)
    assert workspace.branch_head(BRANCH) == theirs
    git(place.root, "branch", "-D", BRANCH)
    assert git(place.root, "rev-parse", f"refs/loopwright/salvage/{BRANCH}/{theirs[:12]}") == theirs


def test_a_branch_that_is_gone_checked_out_in_the_way_or_misnamed_is_explained(
    place: Place, blobs: MemoryBlobs
) -> None:
    workspace = place.workspace
    one = workspace.commit(place.head, [added(blobs, "a.py", "1")], blobs, message="1", at_ms=0).commit
    with pytest.raises(WorkspaceError, match=f"is gone, expected it at {place.head[:12]}"):
        workspace.move_branch(BRANCH, one, expected=place.head)
    with pytest.raises(WorkspaceError, match="is not one git takes"):
        workspace.move_branch("a..b", one, expected=None)
    with pytest.raises(WorkspaceError, match="'main' is checked out in"):
        workspace.move_branch("main", one, expected=place.head)
    git(place.root, "branch", "loopwright")
    with pytest.raises(WorkspaceError, match="refs/heads/loopwright"):
        workspace.move_branch(BRANCH, one, expected=None)
    assert git(place.root, "rev-parse", "main") == place.head


def test_a_run_is_rebuilt_with_the_same_ids_in_a_clone_with_other_settings(
    place: Place, blobs: MemoryBlobs, tmp_path: Path
) -> None:
    steps = [
        ([added(blobs, "a.py", "a = 2\r\n"), deleted("d/b.py")], "first", 1_700_000_000_000),
        ([added(blobs, "n/x", b"\xff")], "second\n\ntrailer", 1_700_000_100_000),
    ]
    head = place.head
    for changes, message, at_ms in steps:
        head = place.workspace.commit(head, changes, blobs, message=message, at_ms=at_ms).commit
    git(tmp_path, "clone", "-q", str(place.root), "second")
    for key, value in (
        ("core.autocrlf", "true"),
        ("i18n.commitEncoding", "latin1"),
        ("commit.gpgSign", "true"),
        ("user.name", "Bob"),
    ):
        git(tmp_path / "second", "config", key, value)
    second = Place(tmp_path / "second")
    rebuilt = second.workspace.rebuild(place.head, steps, blobs)
    assert rebuilt.commit == head
    with second.workspace.checkout(rebuilt.tree, "x") as candidate:
        assert (candidate.path / "ü \n.txt").read_bytes() == b"u\n"
    assert second.workspace.rebuild(place.head, (), blobs).commit == place.head
    with pytest.raises(WorkspaceError, match="is not in this clone"):
        second.workspace.rebuild("1" * 40, steps, blobs)


def test_a_change_in_a_converted_file_is_taken_in_as_git_add_would(tmp_path: Path, blobs: MemoryBlobs) -> None:
    """Line ends and filters by attribute: the checkout has the converted form, the commit the stored one."""
    root = make_repository(
        tmp_path / "r", {".gitattributes": "*.txt text eol=crlf\n*.up filter=up\n", "t.txt": "1\n", "f.up": "x"}
    )
    git(root, "config", "filter.up.smudge", "tr a-z A-Z")
    git(root, "config", "filter.up.clean", "tr A-Z a-z")
    here = Place(root)
    with here.workspace.checkout(here.tree, "x") as candidate:
        assert (candidate.path / "t.txt").read_bytes() == b"1\r\n"
        assert (candidate.path / "f.up").read_text() == "X"
        assert candidate.harvest(blobs) == ()
        (candidate.path / "t.txt").write_bytes(b"1\r\n2\r\n")
        (candidate.path / "f.up").write_text("XY")
        (candidate.path / ".gitattributes").write_text("* -text -filter\n")
        tree = here.workspace.tree_with(here.tree, candidate.harvest(blobs), blobs)
    assert here.workspace.read(tree, "t.txt") == b"1\n2\n"
    assert here.workspace.read(tree, "f.up") == b"xy"


def test_a_submodule_stays_and_cannot_be_written_into(tmp_path: Path, blobs: MemoryBlobs) -> None:
    inner = make_repository(tmp_path / "inner", {"m": ""})
    root = make_repository(tmp_path / "r", {"a": "1"})
    git(root, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner), "deps/inner")
    git(root, "commit", "-q", "-m", "submodule")
    here = Place(root)
    with here.workspace.checkout(here.tree, "x") as candidate:
        assert list((candidate.path / "deps/inner").iterdir()) == []
        (candidate.path / "a").write_text("2")
        changes = candidate.harvest(blobs)
        assert [change.path for change in changes] == ["a"]
        assert "160000" in git(root, "ls-tree", here.workspace.tree_with(here.tree, changes, blobs), "deps/")
        (candidate.path / "deps/inner/x").write_text("x")
        with pytest.raises(WorkspaceError, match="'deps/inner', which is a submodule"):
            candidate.harvest(blobs)


def test_many_copies_can_be_taken_at_once(place: Place, blobs: MemoryBlobs) -> None:
    """Eight workspaces race to write the same base: one wins, all copies are whole, no draft is left."""
    workspaces = [Place(place.root).workspace for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        candidates = list(pool.map(lambda workspace: workspace.checkout(place.tree, "x"), workspaces))
    assert [candidate.harvest(blobs) for candidate in candidates] == [()] * 8
    assert len({candidate.path for candidate in candidates}) == 8
    assert [entry.name for entry in (place.root / ".loopwright/cache/trees").iterdir()] == [place.tree]


def test_garbage_is_what_no_active_run_uses(place: Place, blobs: MemoryBlobs) -> None:
    runtime = place.root / ".loopwright"
    old, active = place.workspace.checkout(place.tree, "run 1"), place.workspace.checkout(place.tree, "run-2")
    (old.path / "big").write_bytes(b"x" * 100_000)
    tree_ms = (runtime / "cache/trees" / place.tree).stat().st_mtime_ns // 1_000_000
    kept_bytes = collect_garbage(runtime, ["run-2"], trees_older_than_s=3600, now_ms=tree_ms + 1_000)
    assert kept_bytes > 100_000
    assert not old.path.exists()
    assert active.path.exists()
    assert (runtime / "cache/trees" / place.tree).exists()
    assert collect_garbage(runtime, ["run-2"], trees_older_than_s=3600, now_ms=tree_ms + 3_601_000) > 0
    assert not (runtime / "cache/trees" / place.tree).exists()
    assert active.harvest(blobs) == ()
    assert place.workspace.checkout(place.tree, "run-3").harvest(blobs) == ()


def test_the_users_own_hooks_do_not_run_on_our_commits(place: Place, blobs: MemoryBlobs, tmp_path: Path) -> None:
    """They are written for his commits: one that formats, pushes or asks would change the run or stop it."""
    fired = tmp_path / "fired"
    for name in ("reference-transaction", "post-index-change", "post-checkout"):
        hook = place.root / ".git" / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\necho {name} >>'{fired}'\n")
        hook.chmod(0o755)
    git(place.root, "branch", "probe")
    assert "reference-transaction" in fired.read_text(), "the hook must work, else this test shows nothing"
    fired.unlink()
    changes = [added(blobs, "a.py", "a = 2\n")]
    commit = place.workspace.commit(place.head, changes, blobs, message="m", at_ms=0).commit
    place.workspace.move_branch(BRANCH, commit, expected=None)
    place.workspace.checkout(place.tree, "x").discard()
    (place.root / "a.py").write_text("a = 3\n")
    place.repository.snapshot_commit("m", 0)
    assert not fired.exists()


def test_an_object_id_is_never_taken_for_an_option(place: Place, blobs: MemoryBlobs) -> None:
    for wrong in ("--all", "main", place.head[:12]):
        with pytest.raises(WorkspaceError, match="object id"):
            place.workspace.checkout(wrong, "x")
        with pytest.raises(WorkspaceError, match="object id"):
            place.workspace.commit(wrong, [], blobs, message="m", at_ms=0)
