"""Workshops for tests of the beats: real processes, real files, and little suites to run in them."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from loopwright.kernel.loop import TestsSource
from loopwright.sandbox.plain import PlainSandbox
from loopwright.sandbox.protocol import Sandbox
from loopwright.testing.clock import FakeClock
from loopwright.testing.memory import MemoryBlobs
from loopwright.workspace.git_workspace import GitWorkspace
from loopwright.workspace.protocol import Candidate
from loopwright.workspace.repository import Repository
from loopwright.workspace.workshop import Workshop
from support.repositories import make_repository

__all__ = ["PYTEST", "make_candidate", "make_shop", "pytest_source", "write_files"]

PYTEST = f"PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 {sys.executable} -m pytest -q"
"""Without plugins pytest starts in half the time."""


def pytest_source(arguments: str = "", timeout_s: int | None = None) -> TestsSource:
    return TestsSource(f"{PYTEST} {arguments}".strip(), timeout_s=timeout_s)


def write_files(root: Path, files: Mapping[str, str]) -> Path:
    for path, text in files.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    return root


def make_candidate(root: Path, files: Mapping[str, str], sandbox: Sandbox) -> Candidate:
    """A copy of a fresh repository with `files` for commands in `sandbox`."""
    repository = Repository.find(make_repository(root, files))
    workspace = GitWorkspace(repository, root / ".loopwright", overlay=sandbox.overlays, uid=sandbox.uid)
    return workspace.checkout(repository.tree_of(repository.head), "test")


def make_shop(
    tmp_path: Path, files: Mapping[str, str], *, timeout_s: int = 60, progress: Callable[[str], None] = lambda _: None
) -> tuple[Workshop, str]:
    """A workshop on a fresh repository with `files`, and the tree of its only commit."""
    repository = Repository.find(make_repository(tmp_path / "repository", files))
    shop = Workshop(
        run_id="r1",
        action_id="a1",
        workspace=GitWorkspace(repository, repository.root / ".loopwright"),
        sandbox=PlainSandbox(tmp_path / "homes", "/usr/local/bin:/usr/bin:/bin"),
        blobs=MemoryBlobs(),
        jobs=1,
        timeout_s=timeout_s,
        seed=0,
        now_ms=FakeClock(1_000),
        progress=progress,
    )
    return shop, repository.tree_of(repository.head)
