"""A real little repository with two faults, a test command that writes JUnit XML, and a program that proposes fixes.

Everything is quick (no pytest inside), because the crash tests run it hundreds of times. The proposer writes every call into a log
outside the repository: that is the world in which a doubled effect would be seen.
"""

import shutil
import subprocess
import sys
from pathlib import Path

__all__ = ["UNSANDBOXED", "copy_repository", "make_repair_repository", "make_repository", "write_loop"]

UNSANDBOXED = {"LOOPWRIGHT_SANDBOX": "none"}
"""For runs whose proposer is watched from outside: in a sandbox its log would be written into nothing."""

CHECK = """\
import sys
from pathlib import Path
from xml.sax.saxutils import quoteattr

cases = []
bad = 0
for name, wanted in (("one", "1"), ("two", "2"), ("three", "3")):
    found = Path(f"{name}.txt").read_text().strip()
    fault = ""
    if found != wanted:
        bad += 1
        fault = f"<failure message={quoteattr(f'{name}: expected {wanted}, found {found}')}/>"
    cases.append(f'<testcase classname="check" name={quoteattr(name)} time="0.001">{fault}</testcase>')
Path("report.xml").write_text(f'<testsuite tests="3" failures="{bad}">{"".join(cases)}</testsuite>')
sys.exit(bad > 0)
"""

PROPOSE = """\
import json, os, sys
from pathlib import Path

json.load(sys.stdin)
with open(sys.argv[1], "a") as log:
    log.write(os.environ["LOOPWRIGHT_ACTION"] + "\\n")
for name, wanted in (("one", "1"), ("two", "2"), ("three", "3")):
    if Path(f"{name}.txt").read_text().strip() != wanted:
        Path(f"{name}.txt").write_text(wanted + "\\n")
        break
"""

LOOP = """\
---
name: fix
observe: [{{tests: {{run: "{python} check.py", junit: report.xml}}}}]
act: [{{command: "{python} {propose} {log}"}}]
evaluate: {{tests: {{run: "{python} check.py", junit: report.xml}}, protect: [check.py]}}
stop: {{iterations: 20, minutes: 30}}
deliver: branch
---
Make the three numbers right.
"""


def make_repository(root: Path) -> Path:
    """`root/repo`, one commit, with `loop.md` beside it and the proposer's log at `root/proposed.log`; returns the repository."""
    repository = root / "repo"
    repository.mkdir(parents=True)
    (root / "propose.py").write_text(PROPOSE)
    (repository / "check.py").write_text(CHECK)
    (repository / ".gitignore").write_text("report.xml\n")
    for name, found in (("one", "1"), ("two", "wrong"), ("three", "wrong")):
        (repository / f"{name}.txt").write_text(found + "\n")
    _commit(repository, "two faults")
    write_loop(root)
    return repository


REPAIR_LOOP = """\
---
name: fix
act: [repair]
evaluate: {tests: "python -m pytest -q"}
stop: {iterations: 20, minutes: 30}
---
Make the failing test pass.
"""

CLAMP = """\
def clamp(value, low, high):
    if value < low:
        return low
    if value < high:
        return high
    return value
"""

TEST_CLAMP = """\
from clamp import clamp


def test_low():
    assert clamp(-1, 0, 10) == 0


def test_high():
    assert clamp(11, 0, 10) == 10


def test_between():
    assert clamp(5, 0, 10) == 5
"""


def make_repair_repository(root: Path) -> Path:
    """The same layout with one fault in Python, pytest, and the `repair` rung: nothing of ours stands in for anything."""
    repository = root / "repo"
    repository.mkdir(parents=True)
    (repository / "clamp.py").write_text(CLAMP)
    (repository / "test_clamp.py").write_text(TEST_CLAMP)
    _commit(repository, "one fault")
    write_loop(root)
    return repository


def _commit(repository: Path, message: str) -> None:
    git = ["git", "-C", str(repository), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run([*git, "init", "-q", "-b", "main"], check=True)
    subprocess.run([*git, "add", "-A"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", message], check=True)


def write_loop(root: Path) -> Path:
    loop = root / "loop.md"
    propose = root / "propose.py"
    text = (
        LOOP.format(python=sys.executable, propose=propose, log=root / "proposed.log")
        if propose.exists()
        else REPAIR_LOOP
    )
    loop.write_text(text, encoding="utf-8")
    return loop


def copy_repository(template: Path, root: Path) -> Path:
    """A copy of a fresh `make_repository` root; its proposer logs into the copy."""
    shutil.copytree(template, root)
    write_loop(root)
    return root / "repo"
