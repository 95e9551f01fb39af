"""Little repositories, loop files and proposing programs for runs that are judged end to end, through the command line."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from loopwright.engine.site import open_site
from loopwright.kernel import events as ev
from support.command_line import Ended, git, loopwright, repository
from support.two_faults import UNSANDBOXED

__all__ = [
    "FIX",
    "PYTEST",
    "UNITTEST",
    "branch",
    "calls",
    "history",
    "loop_text",
    "of_kind",
    "program",
    "report",
    "rows",
    "run",
    "shop",
    "untouched",
]

Fact = TypeVar("Fact", bound=ev.Body)

PYTEST = f"PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 {sys.executable} -m pytest -q -p no:cacheprovider"
UNITTEST = f"{sys.executable} -m unittest discover -s tests -t ."
CODE = "def double(number):\n    return number + number if number < 5 else number\n"
TESTS = """\
import unittest

from shop import double


class ShopTest(unittest.TestCase):
    def test_small(self):
        self.assertEqual(double(2), 4)

    def test_large(self):
        self.assertEqual(double(7), 14)
"""
PROLOGUE = """\
import json, os, pathlib, sys
task = json.load(sys.stdin)
files = sorted(str(p) for p in pathlib.Path('.').rglob('*') if '.git' not in p.parts and p.is_file())
with open(sys.argv[1], 'a') as log:
    log.write(json.dumps({'task': task, 'files': files}) + '\\n')
def says(**result):
    pathlib.Path(os.environ['LOOPWRIGHT_RESULT']).write_text(json.dumps(result))
def edit(path, old, new):
    there = pathlib.Path(path).read_text()
    pathlib.Path(path).write_text(there.replace(old, new))
"""
FIX = "edit('shop.py', ' if number < 5 else number', '')\nsays(title='always double')\n"
"""What an honest program does with a `shop`."""


def shop(where: Path, files: dict[str, str] | None = None) -> Path:
    """One function with one fault, and two tests, of which one fails; `files` come on top."""
    tracked = {"shop.py": CODE, "tests/__init__.py": "", "tests/test_shop.py": TESTS, ".gitignore": "__pycache__/\n"}
    return repository(where, {**tracked, **(files or {})})


def program(where: Path, body: str, name: str = "propose") -> str:
    """The command line of a program beside the repository that logs each task it gets, with the files that it sees, and then does
    `body`: there `task` is the task, `edit(path, old, new)` changes a file and `says(…)` writes its result."""
    path = where.parent / f"{name}.py"
    path.write_text(PROLOGUE + body)
    return f"{sys.executable} {path} {where.parent / name}.log"


def calls(where: Path, name: str = "propose") -> list[dict[str, object]]:
    """What a `program` logged, one a call: `task` and `files`."""
    return [json.loads(line) for line in (where.parent / f"{name}.log").read_text().splitlines()]


def loop_text(command: str, evaluate: str, *, iterations: int = 5, more: str = "") -> str:
    """A loop file with one program, or with what `more` adds to the keys; `evaluate` is the inside of its brackets."""
    return (
        f"---\nname: fix\nact: [{{command: {json.dumps(command)}}}]\nevaluate: {{{evaluate}}}\n"
        f"stop: {{iterations: {iterations}, minutes: 5}}\n{more}deliver: branch\n---\nMake the tests pass.\n"
    )


def run(where: Path, text: str, *more: str) -> Ended:
    """`loopwright run --json` of this loop file, unsandboxed: its program is watched from outside."""
    (where.parent / "loop.md").write_text(text)
    return loopwright("run", where.parent / "loop.md", "--json", *more, cwd=where, env=UNSANDBOXED)


def branch(where: Path) -> str:
    """The one branch that runs left; empty when none did."""
    return git(where, "for-each-ref", "--format=%(refname:short)", "refs/heads/loopwright").strip()


def untouched(where: Path) -> bool:
    """Whether the checkout is as it was: on `main`, with nothing changed and nothing new in it."""
    return (git(where, "status", "--porcelain"), git(where, "branch", "--show-current").strip()) == ("", "main")


def report(where: Path, name: str = "report.md", run: str = "*") -> str:
    (found,) = (where / ".loopwright" / "runs").glob(f"{run}/{name}")
    return found.read_text()


def rows(where: Path, run: str = "*") -> list[list[str]]:
    """`results.tsv` without its heading."""
    return [line.split("\t") for line in report(where, "results.tsv", run).splitlines()[1:]]


def history(where: Path, run: str) -> list[ev.Event]:
    """The events of a run, as its journal has them now."""
    site = open_site(where, {"PATH": os.environ["PATH"], **UNSANDBOXED})
    try:
        return list(site.journal.read(run))
    finally:
        site.journal.close()


def of_kind(events: Sequence[ev.Event], kind: type[Fact]) -> list[Fact]:
    return [event.body for event in events if isinstance(event.body, kind)]
