"""Importing loopwright is cheap and does nothing: no file is written, no process started, no socket opened, no setting read."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

# What the command line must not pay for when it only prints its help: drivers, template engines, parsers, terminal art.
HEAVY = (
    "asyncio",
    "cronsim",
    "http",
    "jinja2",
    "multiprocessing",
    "psycopg",
    "rfc8785",
    "rich",
    "sqlite3",
    "yaml",
    "zstandard",
)
OURS_HEAVY = ("engine", "evaluate", "journal", "sandbox", "suite", "workspace")

HELP = """
from loopwright.cli.main import main
sys.argv = ["loopwright", "--help"]
try:
    code = main()
except SystemExit as exit:
    code = exit.code
assert not code, code
import json
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""

AUDITED_IMPORT = """
import importlib, os, pkgutil, sys

done = []

def audit(event, args):
    if event == "open":
        path, mode, flags = args
        # With no bytecode to write, whatever is opened for writing is the module's own doing.
        if isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC):
            done.append(f"open {path!r} for writing")
    elif event.split(".")[0] in {"socket", "subprocess", "sqlite3", "shutil", "tempfile", "signal"} or event in {
        "os.chdir", "os.chmod", "os.exec", "os.fork", "os.kill", "os.link", "os.mkdir", "os.posix_spawn", "os.putenv", "os.remove",
        "os.rename", "os.rmdir", "os.symlink", "os.system", "os.truncate", "os.unsetenv", "os.utime", "pty.spawn",
    }:
        # The socket module makes no socket when it is imported, and ssl none either.
        done.append(f"{event} {args!r}")

import loopwright
names = [m.name for m in pkgutil.walk_packages(loopwright.__path__, "loopwright.") if not m.name.endswith("__main__")]

# Third-party modules are theirs to answer for: they are imported first, so that only our own lines are heard.
for name in names:
    importlib.import_module(name)
for name in [n for n in sys.modules if n.split(".")[0] == "loopwright"]:
    del sys.modules[name]

class Environment(type(os.environ)):
    def __getitem__(self, key):
        frame = sys._getframe(1)
        while frame is not None and "importlib" not in frame.f_code.co_filename:
            if "loopwright" in frame.f_globals.get("__name__", "").split(".")[0]:
                done.append(f"environment variable {key!r} read by {frame.f_globals['__name__']}")
                break
            frame = frame.f_back
        return super().__getitem__(key)

os.environ.__class__ = Environment
sys.addaudithook(audit)
for name in ["loopwright", *names]:
    importlib.import_module(name)
import json
print(json.dumps({"modules": names, "done": done}))
"""


def python(code: str, *, package_from: Path | None = None) -> subprocess.CompletedProcess[str]:
    """A fresh interpreter; `package_from` is a folder whose `loopwright` is imported instead of ours."""
    prelude = f"import sys\nsys.path[:0] = {[str(package_from)] if package_from else []!r}\n"
    done = subprocess.run(
        [sys.executable, "-B", "-c", prelude + code], cwd=package_from, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done


def effects_of_importing(package_from: Path | None = None) -> list[str]:
    report = json.loads(python(AUDITED_IMPORT, package_from=package_from).stdout)
    assert report["modules"]
    return list(report["done"])


def test_importing_any_module_does_nothing() -> None:
    assert effects_of_importing() == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("open('written', 'w')", "open 'written' for writing"),
        ("import os, uuid; os.mkdir(uuid.uuid4().hex)", "os.mkdir"),
        ("import subprocess; subprocess.run(['true'])", "subprocess.Popen"),
        ("import socket; socket.socket()", "socket.__new__"),
        ("import os; os.environ.get('ANY_SETTING')", "environment variable 'ANY_SETTING' read by loopwright.busy"),
    ],
)
def test_a_module_that_does_something_when_imported_is_caught(line: str, said: str, tmp_path: Path) -> None:
    """The check above is only worth what it can see."""
    package = tmp_path / "loopwright"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "busy.py").write_text(line + "\n")
    effects = effects_of_importing(tmp_path)
    assert any(said in effect for effect in effects), effects


def test_help_loads_nothing_heavy() -> None:
    done = python(HELP)
    assert "run" in done.stdout
    loaded = set(json.loads(done.stderr))
    assert "loopwright.cli.main" in loaded
    assert [name for name in HEAVY if name in loaded] == []
    assert [name for name in OURS_HEAVY if any(m.startswith(f"loopwright.{name}.") for m in loaded)] == []
