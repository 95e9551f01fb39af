"""The pattern language of the loop file."""

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loopwright.workspace.patterns import matches, validate


@pytest.mark.parametrize(
    ("pattern", "path", "covered"),
    [
        ("tests/", "tests/test_a.py", True),
        ("tests/", "tests/data/deep/x.json", True),
        ("tests/", "pkg/tests/x.json", True),
        ("tests/", "tests", True),
        ("tests/", "mytests/a.py", False),
        ("tests/", "tests_old/a.py", False),
        ("tests", "tests/a.py", True),
        ("./tests/", "tests/a.py", True),
        ("./tests/", "pkg/tests/a.py", False),
        ("conftest.py", "conftest.py", True),
        ("conftest.py", "a/b/conftest.py", True),
        ("./conftest.py", "a/conftest.py", False),
        ("conftest.py", "my_conftest.py", False),
        ("conftest.py", "conftest.pyc", False),
        ("**/conftest.py", "conftest.py", True),
        ("**/conftest.py", "a/b/conftest.py", True),
        ("test_*.py", "test_a.py", True),
        ("test_*.py", "test_.py", True),
        ("test_*.py", "src/test_a.py", True),
        ("test_*.py", "test_a/b.txt", False),
        ("src/*.py", "src/a.py", True),
        ("src/*.py", "src/a/b.py", False),
        ("src/*.py", "pkg/src/a.py", False),
        ("src/*", "src/a/b.py", True),
        ("src/**", "src/a/b.py", True),
        ("src/**", "src", False),
        ("src/**/x.py", "src/x.py", True),
        ("src/**/x.py", "src/a/b/x.py", True),
        ("src/**/x.py", "x.py", False),
        ("**", "any/thing", True),
        ("*", "any/thing", True),
        ("a?.txt", "ab.txt", True),
        ("a?.txt", "a.txt", False),
        ("a?b", "a/b", False),
        ("a[bc].txt", "ab.txt", True),
        ("a[!bc].txt", "ab.txt", False),
        ("Tests/", "tests/a.py", False),
        (".github/", ".github/workflows/ci.yml", True),
        (".github/", "github/workflows/ci.yml", False),
        ("a.c", "abc", False),
        ("src/a.py", "src/a.py\nx", False),
    ],
)
def test_what_a_pattern_covers(pattern: str, path: str, covered: bool) -> None:
    assert validate(pattern) is None
    assert matches(path, [pattern]) is covered


def test_no_pattern_covers_nothing_and_one_of_several_is_enough() -> None:
    assert not matches("a.py", [])
    assert matches("a.py", ["b.py", "a.py"])


@pytest.mark.parametrize(
    ("pattern", "complaint"),
    [
        ("", "is empty; expected a path like 'src/' or '**/conftest.py'"),
        ("./", "is empty; expected a path like 'src/' or '**/conftest.py'"),
        ("/etc/passwd", "is not relative; write it from the repository's root, './etc/passwd'"),
        ("~/x", "is not relative; write it from the repository's root, './x'"),
        ("../x", "contains '..'; expected a path inside the repository"),
        ("a/../b", "contains '..'; expected a path inside the repository"),
        ("a//b", "has an empty part or a '.' in 'a//b'; expected names between the '/'"),
        ("a/./b", "has an empty part or a '.' in 'a/./b'; expected names between the '/'"),
        ("a\\b", "contains '\\'; paths are written with '/' and nothing is escaped"),
        ("!a", "starts with '!'; a pattern cannot take back another one"),
        ("a**", "uses '**' inside a name; expected it alone between two '/', as in '**/test_*.py'"),
        ("a[b", "has a '[' without its ']'"),
        ("a[]", "has a '[' without its ']'"),
        ("a\nb", "contains a control character"),
        ("a" * 301, "has 301 characters; expected at most 300"),
    ],
)
def test_what_is_no_pattern(pattern: str, complaint: str) -> None:
    assert validate(pattern) == complaint


def test_a_hostile_path_takes_no_exponential_time() -> None:
    """With a backtracking matcher this test would outlive the suite's time-out."""
    deep = "/".join(["a"] * 400)
    assert not matches(deep, ["/".join(["**", "a"] * 60) + "/b"])
    assert not matches("a" * 250, ["*a" * 60 + "b"])


_PARTS = st.sampled_from(["a", "b", "ab", "*", "a*", "?", "[ab]", "**"])
_PATTERNS = st.builds(
    lambda parts, end: "/".join(parts) + end, st.lists(_PARTS, min_size=1, max_size=4), st.sampled_from(["", "/"])
).filter(lambda pattern: validate(pattern) is None)
_PATHS = st.lists(st.sampled_from(["a", "b", "ab", "ba"]), min_size=1, max_size=5).map("/".join)


@pytest.fixture(scope="module")
def git_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    git = shutil.which("git")
    assert git is not None, "git is needed: it is the reference of the pattern language"
    folder = tmp_path_factory.mktemp("ignore")
    subprocess.run([git, "init", "-q", str(folder)], check=True)
    return folder


@settings(max_examples=100, deadline=None)
@given(pattern=_PATTERNS, paths=st.lists(_PATHS, min_size=1, max_size=12, unique=True))
def test_git_agrees(git_folder: Path, pattern: str, paths: list[str]) -> None:
    """git itself is asked. Left out: a path that a `name/` pattern names itself, which we cover on purpose and git takes for a file."""
    (git_folder / ".git" / "info" / "exclude").write_text(pattern + "\n")
    asked = subprocess.run(
        ["git", "-C", str(git_folder), "check-ignore", "--no-index", "--stdin"],
        input="\n".join(paths),
        capture_output=True,
        text=True,
        check=False,
    )
    assert asked.returncode in {0, 1}, asked.stderr
    ignored = set(asked.stdout.split())
    for path in paths:
        if pattern.endswith("/") and matches(path, [pattern]) and path not in ignored:
            assert not any(matches(parent, [pattern]) for parent in _parents(path))
        else:
            assert matches(path, [pattern]) is (path in ignored), (pattern, path)


def _parents(path: str) -> list[str]:
    names = path.split("/")
    return ["/".join(names[:n]) for n in range(1, len(names))]
