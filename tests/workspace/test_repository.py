"""The user's repository is found or explained, and looked at without a trace."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from loopwright.errors import UsageError
from loopwright.workspace.repository import Repository
from support.repositories import git, make_repository


def traces(root: Path) -> dict[str, str]:
    """Everything in `.git` that a user could notice: index, refs, logs, config, HEAD, by content and time."""
    found = {}
    for folder, _, names in os.walk(root / ".git"):
        for name in names:
            path = Path(folder, name)
            if "objects" not in path.parts:
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
                found[str(path)] = f"{digest} {path.stat().st_mtime_ns}"
    return found


def test_is_found_from_a_folder_inside(tmp_path: Path) -> None:
    root = make_repository(tmp_path / "a b", {"src/m.py": "x = 1\n"})
    found = Repository.find(root / "src")
    assert (found.root, found.git_dir, found.branch) == (root, root / ".git", "main")
    assert found.head == git(root, "rev-parse", "HEAD")
    assert found.notes == ()


def test_a_detached_head_has_no_branch(tmp_path: Path) -> None:
    root = make_repository(tmp_path / "r", {"m": ""})
    git(root, "checkout", "-q", "--detach")
    assert Repository.find(root).branch is None


def _missing(tmp_path: Path) -> Path:
    return tmp_path / "nowhere"


def _a_file(tmp_path: Path) -> Path:
    (tmp_path / "f").write_text("")
    return tmp_path / "f"


def _no_repository(tmp_path: Path) -> Path:
    (tmp_path / "d").mkdir()
    return tmp_path / "d"


def _bare(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q", "--bare", "bare.git")
    return tmp_path / "bare.git"


def _git_folder(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "r", {"m": ""}) / ".git"


def _no_commit(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q", "empty")
    return tmp_path / "empty"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (_missing, "does not exist"),
        (_a_file, "is a file"),
        (_no_repository, "is not a git repository: run `git init && git add -A && git commit` first"),
        (_bare, "is a bare repository"),
        (_git_folder, "lies inside a '.git' folder"),
        (_no_commit, "has no commit yet"),
    ],
)
def test_what_is_no_usable_repository_is_explained_in_one_line(
    tmp_path: Path, make: Callable[[Path], Path], says: str
) -> None:
    with pytest.raises(UsageError) as caught:
        Repository.find(make(tmp_path))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_repository_of_another_user_is_refused_with_the_command_that_trusts_it(tmp_path: Path) -> None:
    root = make_repository(tmp_path / "r", {"m": ""})
    if os.getuid() == 0:
        os.chown(root, 12345, 12345)
        with pytest.raises(UsageError, match=r"git config --global --add safe\.directory"):
            Repository.find(root)
    else:
        # Only root can give a folder away; for everybody else the root folder's owner is the other user.
        assert os.stat("/").st_uid != os.getuid()


def test_uncommitted_names_changed_and_new_files_and_leaves_no_trace(tmp_path: Path) -> None:
    root = make_repository(tmp_path / "r", {"kept": "1", "changed": "1", "gone": "1", ".gitignore": "*.log\n"})
    (root / "changed").write_text("2")
    (root / "gone").unlink()
    (root / "new ü\nfile").write_text("")
    (root / "x.log").write_text("")
    (root / ".loopwright").mkdir()
    (root / ".loopwright" / "journal.db").write_text("")
    os.utime(root / "kept", (1, 1))  # makes git want to refresh the index
    before = traces(root)
    assert Repository.find(root).uncommitted() == ("changed", "gone", "new ü\nfile")
    assert traces(root) == before


def test_a_change_within_the_clock_tick_of_the_index_is_seen(tmp_path: Path) -> None:
    """The private copy of the index keeps the index's time: with a newer one git would trust the file's old entry."""
    root = make_repository(tmp_path / "r", {"m": "0"})
    git(root, "config", "core.trustctime", "false")
    stamp_ns = 1_600_000_000_000_000_000
    (root / "m").write_text("1")
    os.utime(root / "m", ns=(stamp_ns, stamp_ns))  # long before the index: git stores its times as trusted
    git(root, "commit", "-q", "-a", "-m", "1")
    (root / "m").write_text("2")
    os.utime(root / "m", ns=(stamp_ns, stamp_ns))
    os.utime(root / ".git" / "index", ns=(stamp_ns, stamp_ns))
    assert Repository.find(root).uncommitted() == ("m",)


def test_a_snapshot_holds_what_lies_there_and_leaves_index_refs_and_stash_alone(tmp_path: Path) -> None:
    root = make_repository(tmp_path / "r", {"kept": "1", "changed": "1", "gone": "1", ".gitignore": "*.log\n"})
    (root / "changed").write_text("2")
    (root / "gone").unlink()
    (root / "new").write_text("n")
    (root / "staged").write_text("s")
    git(root, "add", "staged")
    (root / "x.log").write_text("")
    (root / ".loopwright").mkdir()
    (root / ".loopwright" / "journal.db").write_text("")
    before = traces(root)
    found = Repository.find(root)
    snapshot = found.snapshot_commit("state at start", 1_700_000_000_000)
    assert traces(root) == before
    assert git(root, "ls-tree", "-r", "--name-only", snapshot.commit).split() == [
        ".gitignore", "changed", "kept", "new", "staged",
    ]  # fmt: skip
    assert git(root, "show", f"{snapshot.commit}:changed") == "2"
    assert git(root, "rev-parse", f"{snapshot.commit}^") == found.head
    assert found.tree_of(snapshot.commit) == snapshot.tree
    assert found.snapshot_commit("state at start", 1_700_000_000_000) == snapshot


def test_a_snapshot_of_a_clean_checkout_is_head(tmp_path: Path) -> None:
    found = Repository.find(make_repository(tmp_path / "r", {"m": "1"}))
    assert found.snapshot_commit("m", 0).commit == found.head


def test_the_runtime_folder_is_excluded_once_for_all_work_trees(tmp_path: Path) -> None:
    root = make_repository(tmp_path / "r", {"m": ""})
    git(root, "worktree", "add", "-q", str(tmp_path / "linked"))
    (root / ".git" / "info" / "exclude").write_bytes(b"*.swp")  # without a line end
    linked = Repository.find(tmp_path / "linked")
    for found in (Repository.find(root), linked, linked):
        found.exclude_runtime_dir()
    assert (root / ".git" / "info" / "exclude").read_bytes() == b"*.swp\n/.loopwright/\n"
    (tmp_path / "linked" / ".loopwright").mkdir()
    (tmp_path / "linked" / ".loopwright" / "x").write_text("")
    assert git(tmp_path / "linked", "status", "--porcelain") == ""
    assert (linked.root, linked.git_dir, linked.branch) == (tmp_path / "linked", root / ".git", "linked")


def test_revisions_are_resolved_or_named_as_wrong(tmp_path: Path) -> None:
    root = make_repository(tmp_path / "r", {"m": ""})
    found = Repository.find(root)
    assert found.resolve("main") == found.head == found.branch_commit("main")
    assert found.branch_commit("other") is None
    for wrong in ("other", "--all", "HEAD^5"):
        with pytest.raises(UsageError, match="names no commit"):
            found.resolve(wrong)


def test_submodules_are_noted(tmp_path: Path) -> None:
    inner = make_repository(tmp_path / "inner", {"m": ""})
    root = make_repository(tmp_path / "r", {"m": ""})
    git(root, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner), "deps/inner")
    git(root, "commit", "-q", "-m", "submodule")
    (note,) = Repository.find(root).notes
    assert "deps/inner" in note
