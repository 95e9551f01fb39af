"""What must never be in the repository: paths of somebody's machine, addresses of package registries, big files."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIMIT_BYTES = 1_000_000

# Written in pieces: this file is searched too. A made-up home directory in a test is nobody's; the one of whoever runs this is.
MACHINE_PATHS = "(^|[^A-Za-z0-9_.$}/-])(/" + "(root|work|farm|Users)" + f"/[A-Za-z.]|{re.escape(str(Path.home()))}/)"
REGISTRIES = "|".join(
    name.replace("@", ".")
    for name in (
        "pypi@org",
        "pythonhosted@org",
        "registry@npmjs@org",
        "registry@yarnpkg@com",
        "crates@io",
        "proxy@golang@org",
    )
)
INDEX_URLS = "https?://[^ \"'<>)]*/" + "(simple|packages)" + "(/|$)"


def git_grep(pattern: str, folder: Path) -> list[str]:
    found = subprocess.run(["git", "grep", "-nIE", pattern], cwd=folder, capture_output=True, text=True)
    assert found.returncode in {0, 1}, found.stderr
    return found.stdout.splitlines()


def oversized(folder: Path) -> list[str]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=folder, capture_output=True, check=True, text=True)
    return [
        name
        for name in listing.stdout.split("\0")
        if name and (folder / name).is_file() and (folder / name).stat().st_size > LIMIT_BYTES
    ]


@pytest.mark.parametrize(
    "pattern", [MACHINE_PATHS, REGISTRIES.replace(".", r"\."), INDEX_URLS], ids=["machine path", "registry", "index"]
)
def test_no_tracked_file_names_a_machine_or_a_registry(pattern: str) -> None:
    assert git_grep(pattern, ROOT) == []


def test_no_tracked_file_is_big() -> None:
    assert oversized(ROOT) == []


@pytest.fixture
def littered(tmp_path: Path) -> Path:
    """A repository that holds one of each."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / "path.txt").write_text("see /" + "root/notes\n")
    (tmp_path / "lock.txt").write_text("--index-url https://files." + "pythonhosted" + ".org/x\n")
    (tmp_path / "index.txt").write_text("url = http://mirror.example/" + "simple/\n")
    (tmp_path / "big.bin").write_bytes(b"\0" * (LIMIT_BYTES + 1))
    subprocess.run(["git", "-C", str(tmp_path), "add", "-A"], check=True)
    return tmp_path


def test_the_search_finds_what_it_looks_for(littered: Path) -> None:
    """Without this, a pattern with a slip in it would pass for a clean repository."""
    assert [line.split(":")[0] for line in git_grep(MACHINE_PATHS, littered)] == ["path.txt"]
    assert [line.split(":")[0] for line in git_grep(REGISTRIES.replace(".", r"\."), littered)] == ["lock.txt"]
    assert [line.split(":")[0] for line in git_grep(INDEX_URLS, littered)] == ["index.txt"]
    assert oversized(littered) == ["big.bin"]
