"""The command line as a user has it: a process, its two outputs, its exit code."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import msgspec

__all__ = ["Ended", "git", "loopwright", "repository"]

MAIN = (sys.executable, "-c", "from loopwright.cli.main import main; main()")


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """What was said beside the result, without the program's name."""
        return [line.removeprefix("loopwright: ") for line in self.err.splitlines()]

    def json(self) -> dict[str, object]:
        """The one object on stdout."""
        (line,) = self.out.splitlines()
        return msgspec.json.decode(line, type=dict[str, object])


def loopwright(*argv: str | Path, cwd: Path, env: dict[str, str] | None = None, timeout_s: int = 120) -> Ended:
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        # Beside it: keys and checkpoints lie in a home, and must not lie in a repository.
        "HOME": f"{cwd}-home",
        **(env or {}),
    }
    done = subprocess.run(
        [*MAIN, *map(str, argv)],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Ended(done.returncode, done.stdout, done.stderr)


def git(where: Path, *argv: str) -> str:
    base = ["git", "-C", str(where), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    return subprocess.run([*base, *argv], check=True, capture_output=True, text=True).stdout


def repository(where: Path, files: dict[str, str]) -> Path:
    """A git repository with one commit of `files` on `main`."""
    where.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        path = where / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    git(where, "init", "-q", "-b", "main")
    git(where, "add", "-A")
    git(where, "commit", "-q", "-m", "start")
    return where
