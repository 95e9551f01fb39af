"""Workshops for tests of the beats: real processes, real files, and little suites to run in them."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from loopwright.kernel.loop import TestsSource
from loopwright.sandbox.bubblewrap import BubblewrapSandbox
from loopwright.sandbox.identity import sandbox_uid
from loopwright.sandbox.plain import PlainSandbox
from loopwright.sandbox.protocol import Sandbox
from loopwright.sandbox.visible import visible_folders
from loopwright.testing.clock import FakeClock
from loopwright.testing.memory import MemoryBlobs
from loopwright.workspace.git_workspace import GitWorkspace
from loopwright.workspace.protocol import Candidate
from loopwright.workspace.repository import Repository
from loopwright.workspace.workshop import Workshop
from support.repositories import make_repository

__all__ = [
    "PYTEST",
    "isolated",
    "make_candidate",
    "make_shop",
    "plain",
    "pytest_source",
    "workspace_for",
    "write_files",
]

PATH = "/usr/local/bin:/usr/bin:/bin"
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


def plain(tmp_path: Path) -> Sandbox:
    return PlainSandbox(tmp_path / "homes", PATH)


def isolated(tmp_path: Path) -> Sandbox:
    """The default backend, with the interpreter of the tests to be seen in it. Close it."""
    prefixes = (Path(sys.prefix), Path(sys.base_prefix))
    seen = visible_folders(path=PATH, prefixes=prefixes, home=None, root=tmp_path / "nowhere")
    return BubblewrapSandbox(tmp_path / "sandbox", PATH, seen, uid=sandbox_uid({}))


def workspace_for(repository: Repository, runtime_dir: Path, sandbox: Sandbox) -> GitWorkspace:
    """With candidates as the sandbox wants them."""
    return GitWorkspace(repository, runtime_dir, overlay=sandbox.overlays, uid=sandbox.uid)


def make_candidate(root: Path, files: Mapping[str, str], sandbox: Sandbox) -> Candidate:
    """A copy of a fresh repository with `files` for commands in `sandbox`."""
    repository = Repository.find(make_repository(root, files))
    return workspace_for(repository, root / ".loopwright", sandbox).checkout(
        repository.tree_of(repository.head), "test"
    )


def make_shop(
    tmp_path: Path,
    files: Mapping[str, str],
    *,
    timeout_s: int = 60,
    progress: Callable[[str], None] = lambda _: None,
    sandbox: Sandbox | None = None,
) -> tuple[Workshop, str]:
    """A workshop on a fresh repository with `files`, and the tree of its only commit; without a `sandbox` in plain processes."""
    sandbox = sandbox or plain(tmp_path)
    repository = Repository.find(make_repository(tmp_path / "repository", files))
    shop = Workshop(
        run_id="r1",
        action_id="a1",
        workspace=workspace_for(repository, repository.root / ".loopwright", sandbox),
        sandbox=sandbox,
        blobs=MemoryBlobs(),
        jobs=1,
        timeout_s=timeout_s,
        seed=0,
        now_ms=FakeClock(1_000),
        progress=progress,
    )
    return shop, repository.tree_of(repository.head)
