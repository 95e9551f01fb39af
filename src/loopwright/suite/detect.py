"""Which command runs a repository's tests, from its files alone; nothing is executed."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

__all__ = ["detect"]

PYTEST = "python -m pytest -q"
UNITTEST = "python -m unittest"

_PYTEST_FILES = (
    "pytest.ini",
    ".pytest.ini",
    "pytest.toml",
    ".pytest.toml",
    "conftest.py",
    "tests/conftest.py",
    "test/conftest.py",
)
_PYTEST_SECTIONS = (
    ("pyproject.toml", re.compile(r"^\[tool\.pytest(\.ini_options)?\]", re.MULTILINE)),
    ("setup.cfg", re.compile(r"^\[tool:pytest\]", re.MULTILINE)),
    ("tox.ini", re.compile(r"^\[pytest\]", re.MULTILINE)),
)
# Where a project says what its tests need; unittest's tests run under pytest as well, and are told apart test by test there.
_DECLARING = (
    "pyproject.toml",
    "setup.cfg",
    "setup.py",
    "tox.ini",
    "noxfile.py",
    "Pipfile",
    "requirements*.txt",
    "*requirements.txt",
    "requirements/*.txt",
)
_NAMES_PYTEST = re.compile(r"(?<![\w.-])pytest(?![\w.-])")
_SKIPPED = frozenset({"node_modules", "venv", "env", "build", "dist", "target", "site-packages", "__pycache__"})
_TEST_FILE = re.compile(r"test_.*\.py|.*_test\.py")
_USES_PYTEST = re.compile(
    r"^(import pytest\b|from pytest\b|(async )?def test_)", re.MULTILINE
)  # not indented: no method
_USES_UNITTEST = re.compile(r"^\s*(import unittest\b|from unittest\b|from django\.test\b)", re.MULTILINE)
_MAX_FILES = 20_000
_MAX_BYTES = 256 * 1024


def detect(root: Path) -> str | None:
    """The command of a loop file's `tests`, or `None` when the files do not say."""
    if any((root / name).is_file() for name in _PYTEST_FILES):
        return PYTEST
    if any(section.search(_text(root / name)) for name, section in _PYTEST_SECTIONS):
        return PYTEST
    if (python := _by_test_files(root)) is not None:
        return PYTEST if _declares_pytest(root) else python
    if _has_npm_test(root / "package.json"):
        return "npm test"
    if (root / "go.mod").is_file():
        return "go test ./..."
    return "cargo test" if (root / "Cargo.toml").is_file() else None


def _declares_pytest(root: Path) -> bool:
    paths = (path for pattern in _DECLARING for path in sorted(root.glob(pattern)))
    return any(_NAMES_PYTEST.search(_text(path)) for path in paths)


def _by_test_files(root: Path) -> str | None:
    """pytest runs unittest's tests too; unittest is named only where nothing needs more, for it is there with every Python."""
    found = False
    for path in _test_files(root):
        text = _text(path)
        if _USES_PYTEST.search(text) or not _USES_UNITTEST.search(text):
            return PYTEST
        found = True
    if not found:
        return None
    return f"{UNITTEST} discover -s tests -t ." if (root / "tests/__init__.py").is_file() else _plain_unittest(root)


def _plain_unittest(root: Path) -> str:
    """`discover` enters only packages: without an `__init__.py` the folder must be named."""
    for folder in ("tests", "test"):
        if (root / folder).is_dir() and not (root / folder / "__init__.py").is_file():
            return f"{UNITTEST} discover -s {folder}"
    return UNITTEST


def _test_files(root: Path) -> Iterator[Path]:
    seen = 0
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(f for f in folders if f not in _SKIPPED and not f.startswith("."))
        seen += len(files)
        if seen > _MAX_FILES:
            return
        yield from (Path(folder, f) for f in sorted(files) if _TEST_FILE.fullmatch(f))


def _has_npm_test(path: Path) -> bool:
    try:
        package = json.loads(_text(path) or "{}")
    except ValueError:
        return False
    scripts = package.get("scripts") if isinstance(package, dict) else None
    test = scripts.get("test") if isinstance(scripts, dict) else None
    # what `npm init` writes is no test
    return isinstance(test, str) and "no test specified" not in test


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
