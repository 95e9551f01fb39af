"""The test command of a repository, from its files."""

from pathlib import Path

import pytest

from loopwright.suite.detect import detect
from support.workshops import write_files

UNITTEST = "import unittest\nclass TestA(unittest.TestCase):\n    def test_x(self): pass\n"


@pytest.mark.parametrize(
    ("files", "command"),
    [
        ({"pytest.ini": "[pytest]"}, "python -m pytest -q"),
        (
            {"pyproject.toml": "[tool.pytest.ini_options]\n", "package.json": '{"scripts": {"test": "jest"}}'},
            "python -m pytest -q",
        ),
        ({"setup.cfg": "[tool:pytest]\n"}, "python -m pytest -q"),
        ({"pkg/test_a.py": "def test_x(): pass\n"}, "python -m pytest -q"),
        ({"tests/a_test.py": "import pytest\n" + UNITTEST}, "python -m pytest -q"),
        ({"tests/test_a.py": UNITTEST, "tests/test_b.py": "async def test_y(): pass\n"}, "python -m pytest -q"),
        ({"test_a.py": UNITTEST}, "python -m unittest"),
        ({"tests/test_a.py": UNITTEST}, "python -m unittest discover -s tests"),
        # unittest's tests in a project that says that pytest runs them
        ({"test_a.py": UNITTEST, "tox.ini": "[testenv]\ndeps =\n    pytest\n    pytest-cov\n"}, "python -m pytest -q"),
        ({"test_a.py": UNITTEST, "requirements-dev.txt": "pytest>=8\n"}, "python -m pytest -q"),
        ({"test_a.py": UNITTEST, "requirements-dev.txt": "pytest-cov\nnot-pytest\n"}, "python -m unittest"),
        ({"tests/__init__.py": "", "tests/test_a.py": UNITTEST}, "python -m unittest discover -s tests -t ."),
        ({"package.json": '{"scripts": {"test": "jest"}}'}, "npm test"),
        ({"package.json": '{"scripts": {"test": "echo \\"Error: no test specified\\" && exit 1"}}'}, None),
        ({"package.json": "not json"}, None),
        ({"go.mod": "module x"}, "go test ./..."),
        ({"Cargo.toml": "[package]"}, "cargo test"),
        ({"node_modules/x/test_a.py": "def test_x(): pass\n", "main.py": ""}, None),
        ({"pyproject.toml": "[project]\nname = 'pytest'\n"}, None),
    ],
)
def test_the_command_follows_from_the_files(tmp_path: Path, files: dict[str, str], command: str | None) -> None:
    assert detect(write_files(tmp_path, files)) == command
