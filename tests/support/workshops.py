"""Workshops for tests of the beats: real processes, real files, and little suites to run in them."""

import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from loopwright.kernel.loop import TestsSource
from loopwright.sandbox.plain import PlainSandbox
from loopwright.testing.clock import FakeClock
from loopwright.testing.memory import MemoryBlobs
from loopwright.workspace.protocol import Workspace
from loopwright.workspace.workshop import Workshop

__all__ = ["PYTEST", "Copy", "copies_of", "make_shop", "pytest_source", "write_files"]

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


def make_shop(tmp_path: Path, workspace: Workspace, progress: Callable[[str], None] = lambda _: None) -> Workshop:
    return Workshop(
        run_id="r1",
        action_id="a1",
        workspace=workspace,
        sandbox=PlainSandbox(tmp_path / "homes", "/usr/local/bin:/usr/bin:/bin"),
        blobs=MemoryBlobs(),
        jobs=1,
        timeout_s=60,
        seed=0,
        now_ms=FakeClock(1_000),
        progress=progress,
    )


@dataclass(frozen=True)
class Copy:
    path: Path


def copies_of(origin: Path, into: Path) -> Callable[[], AbstractContextManager[Copy]]:
    """Takes out one disposable copy of `origin` after another."""
    taken = iter(range(1_000))

    @contextmanager
    def take() -> Iterator[Copy]:
        path = into / f"copy{next(taken)}"
        shutil.copytree(origin, path, symlinks=True)
        yield Copy(path)
        shutil.rmtree(path)

    return take
