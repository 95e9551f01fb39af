"""What a user installs: the wheel has the code, the ready-made loops and the type marker, and nothing else."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def tracked(*under: str) -> set[str]:
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--", *under], cwd=ROOT, capture_output=True, check=True, text=True
    )
    return {name for name in listing.stdout.split("\0") if name}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built by the locked build backend, from this tree, with nothing fetched."""
    out = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (built,) = out.glob("*.whl")
    return built


def test_the_wheel_carries_every_ready_made_loop_byte_for_byte(wheel: Path) -> None:
    loops = tracked("loops")
    assert "loops/fix.md" in loops
    with zipfile.ZipFile(wheel) as archive:
        for name in loops:
            assert archive.read(f"loopwright/_{name}") == (ROOT / name).read_bytes()


def test_the_wheel_carries_every_source_file_and_the_type_marker(wheel: Path) -> None:
    expected = {name.removeprefix("src/") for name in tracked("src")}
    assert "loopwright/py.typed" in expected
    with zipfile.ZipFile(wheel) as archive:
        assert expected <= set(archive.namelist())


def test_the_wheel_carries_nothing_but_the_package(wheel: Path) -> None:
    """A stray top-level `tests` or `docs` in site-packages would shadow the user's own."""
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"loopwright"}


def test_the_wheel_names_the_command(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (entry_points,) = [name for name in archive.namelist() if name.endswith("entry_points.txt")]
        assert "loopwright = loopwright.cli.main:main" in archive.read(entry_points).decode()
