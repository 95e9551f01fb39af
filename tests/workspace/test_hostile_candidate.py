"""What a candidate plants to have the host's git run it: each fires with a naive git, none with ours."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from loopwright.errors import WorkspaceError
from loopwright.testing.memory import MemoryBlobs
from loopwright.workspace.repository import Repository
from support.overlays import KINDS, inside, workspace
from support.repositories import git, make_repository

Plant = Callable[[Path, Path], None]


def _program(here: Path, fired: Path) -> Path:
    program = here / "planted.sh"
    program.write_text(f"#!/bin/sh\ntouch '{fired}'\ncat\n")
    program.chmod(0o755)
    return program


def _hook(here: Path, fired: Path) -> None:
    git(here, "init", "-q")
    hook = here / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    _program(here, fired).rename(hook)


def _fsmonitor(here: Path, fired: Path) -> None:
    git(here, "init", "-q")
    git(here, "config", "core.fsmonitor", str(_program(here, fired)))


def _clean_filter(here: Path, fired: Path) -> None:
    git(here, "init", "-q")
    git(here, "config", "filter.evil.clean", str(_program(here, fired)))
    (here / ".gitattributes").write_text("* filter=evil\n")


def _external_diff(here: Path, fired: Path) -> None:
    git(here, "init", "-q")
    git(here, "config", "diff.external", str(_program(here, fired)))
    git(here, "add", "a.py")


def _pointer(here: Path, fired: Path) -> None:
    elsewhere = here / "data"
    git(here, "init", "-q", "--separate-git-dir", str(elsewhere))
    git(here, "config", "core.fsmonitor", str(_program(here, fired)))


PLANTS: list[Plant] = [_hook, _fsmonitor, _clean_filter, _external_diff, _pointer]


def _naive(here: Path) -> None:
    for args in (("status",), ("add", "-A"), ("diff", "HEAD"), ("commit", "-q", "-m", "x", "--allow-empty")):
        subprocess.run(
            ["git", "-c", "user.name=a", "-c", "user.email=b", "-C", str(here), *args], capture_output=True, check=False
        )
    (here / "a.py").write_text("a = 3\n")
    subprocess.run(["git", "-C", str(here), "diff"], capture_output=True, check=False)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.__name__.strip("_"))
def test_nothing_that_a_candidate_plants_is_run_by_the_host(tmp_path: Path, plant: Plant, kind: str) -> None:
    root = make_repository(tmp_path / "r", {"a.py": "a = 1\n"})
    found = Repository.find(root)
    trusted, blobs = workspace(root, kind), MemoryBlobs()
    tree = found.tree_of("HEAD")
    fired = tmp_path / "fired"
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "a.py").write_text("a = 1\n")
    plant(victim, fired)
    (victim / "a.py").write_text("a = 2\n")
    planted = tmp_path / "planted"
    shutil.copytree(victim, planted, symlinks=True)
    _naive(victim)
    assert fired.exists(), "the plant must work, else this test shows nothing"
    fired.unlink()

    with trusted.checkout(tree, "ours") as candidate:
        with inside(kind)(candidate) as here:
            shutil.copytree(planted, here, symlinks=True, dirs_exist_ok=True)
        with pytest.raises(WorkspaceError, match=r"\.git', a git repository of its own"):
            candidate.harvest(blobs)
        # And without the repository, with everything else that was planted still there:
        with inside(kind)(candidate) as here:
            pointer = here / ".git"
            pointer.rename(here / "was-git")
        changes = candidate.harvest(blobs)
        assert "a.py" in [change.path for change in changes]
        commit = trusted.commit(found.head, changes, blobs, message="m", at_ms=0)
        assert "a = 2" in trusted.diff(tree, changes, blobs)
        trusted.move_branch("b", commit.commit, expected=None)
        with trusted.checkout(commit.tree, "ours") as again:
            assert again.harvest(blobs) == ()
        candidate.restore(("a.py",))
    assert found.uncommitted() == ()
    assert not fired.exists()
