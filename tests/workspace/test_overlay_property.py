"""Whatever is done in a mounted overlay comes back as it does from a full copy in which the same was done."""

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loopwright.errors import WorkspaceError
from loopwright.testing.memory import MemoryBlobs
from loopwright.workspace.protocol import Candidate
from loopwright.workspace.repository import Repository
from support.overlays import KINDS, inside, workspace
from support.repositories import added, deleted, make_repository

NAMES = ("a", "b", "d", "d/a", "d/b", "d/e", "d/e/a", "d/e/f/a", "n", "n/a", "x.log", "build", "build/a")
FILES = {".gitignore": "*.log\nbuild/\n", "a": "1", "d/a": "2", "d/e/a": "3", "d/e/f/a": "4", "build/a": "5"}


@dataclass(frozen=True)
class Step:
    """`where` says who does it: a command inside, or the runtime between two commands."""

    where: str
    what: str
    path: str
    other: str


def steps(where: str, *whats: str) -> st.SearchStrategy[Step]:
    return st.builds(Step, st.just(where), st.sampled_from(whats), st.sampled_from(NAMES), st.sampled_from(NAMES))


FOLDERS = st.builds(Step, st.just("inside"), st.sampled_from(("rmtree", "remake", "move")), st.just("d"), st.just("n"))


INSIDE = steps("inside", "write", "unlink", "rmtree", "remake", "mkdir", "link", "move", "mode", "rewrite", "fifo")
OUTSIDE = steps("outside", "write", "remove", "apply", "restore")
ROUNDS = st.lists(
    st.tuples(st.lists(INSIDE | FOLDERS, max_size=6), st.lists(OUTSIDE, max_size=3)), min_size=1, max_size=3
)


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as place:
        yield make_repository(Path(place, "r"), FILES)


def _inside(here: Path, step: Step) -> None:
    path, other = here / step.path, here / step.other
    match step.what:
        case "write" if not path.is_fifo():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"w {step.other}")
        case "rewrite" if path.is_file():
            # What it held is written again: a copy-up without a change.
            path.write_bytes(path.read_bytes())
        case "remake":
            shutil.rmtree(path)
            path.mkdir()
            (path / "a").write_text("again")
        case "unlink":
            path.unlink()
        case "rmtree":
            shutil.rmtree(path)
        case "mkdir":
            path.mkdir(parents=True)
        case "link":
            path.symlink_to(step.other)
        case "mode":
            path.chmod(path.lstat().st_mode ^ 0o111 if path.is_file() else 0o755)
        case "fifo":
            os.mkfifo(path)
        case "move" if not os.path.lexists(other) and not other.is_relative_to(path):
            try:
                path.rename(other)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                shutil.copytree(path, other, symlinks=True)  # as `mv` does
                shutil.rmtree(path)


def _outside(candidate: Candidate, step: Step, blobs: MemoryBlobs) -> tuple[str, ...]:
    match step.what:
        case "write":
            candidate.write(step.path, b"host", "100755")
        case "remove":
            candidate.remove(step.path)
        case "apply":
            candidate.apply((deleted(step.path), added(blobs, f"{step.path}/new", "n")), blobs)
        case _:
            return candidate.restore((step.path, f"{step.other}/"))
    return ()


def _played(candidate: Candidate, kind: str, rounds: list[tuple[list[Step], list[Step]]]) -> list[object]:
    """Everything that can be seen of it, in order."""
    blobs = MemoryBlobs()
    seen: list[object] = []

    def note(value: object) -> None:
        seen.append(value)

    for within, outside in rounds:
        with inside(kind)(candidate) as here:
            for step in within:
                try:
                    _inside(here, step)
                except (OSError, shutil.Error) as error:
                    note((step, type(error).__name__))
            note(sorted(str(path.relative_to(here)) for path in here.rglob("*")))
        for step in outside:
            try:
                note(_outside(candidate, step, blobs))
            except WorkspaceError as error:
                note(str(error))
        for path in NAMES:
            with contextlib.suppress(WorkspaceError):
                note((path, candidate.read(path)))
        try:
            note(candidate.harvest(blobs))
        except WorkspaceError as error:
            note(str(error))
    return seen


@pytest.mark.parametrize("kind", KINDS[1:])
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rounds=ROUNDS)
def test_an_overlay_says_what_a_full_copy_says(
    root: Path, kind: str, rounds: list[tuple[list[Step], list[Step]]]
) -> None:
    tree = Repository.find(root).tree_of("HEAD")
    with workspace(root, "disk").checkout(tree, "x") as full, workspace(root, kind).checkout(tree, "x") as layered:
        assert _played(layered, kind, rounds) == _played(full, "disk", rounds)
