"""The one place that runs git, always on a repository that only its owner writes, never on a candidate.

Nothing that a repository can hold is let to start a program by itself: no hooks, no fsmonitor, no network, no prompt. Filters that
the user configured are his own and do run.
"""

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from loopwright.errors import UsageError, WorkspaceError

__all__ = ["MINIMUM_VERSION", "Git", "GitFailed", "version"]

MINIMUM_VERSION = (2, 30)

_IDENTITY = ("loopwright", "loopwright@localhost")
_KEPT_VARIABLES = ("PATH", "HOME", "XDG_CONFIG_HOME", "TMPDIR", "USER", "LOGNAME")
_TIMEOUT_S = 300.0
_SETTINGS = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.untrackedCache=false",
    "core.splitIndex=false",
    "core.safecrlf=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "protocol.allow=never",
    "submodule.recurse=false",
    "advice.addEmbeddedRepo=false",
    "i18n.commitEncoding=UTF-8",
)
_COPY_SETTINGS = ("core.autocrlf=false", "core.eol=lf", "core.symlinks=true", "core.fileMode=true")
"""For what we check out and take in ourselves: the same bytes on every machine, whatever line ends its user likes."""


class GitFailed(WorkspaceError):
    """git said no; `stderr` is all it said."""

    def __init__(self, message: str, stderr: str) -> None:
        super().__init__(message)
        self.stderr = stderr


@dataclass(frozen=True, slots=True)
class Git:
    """git on one repository. `git_dir` is `None` only while the repository is being looked for, from `cwd`.

    `index` is a private index file, `None` = no command that needs one is run.
    """

    cwd: Path
    git_dir: Path | None = None
    work_tree: Path | None = None
    index: Path | None = None
    settings: tuple[str, ...] = ()

    def for_copies(self, work_tree: Path, index: Path | None = None) -> "Git":
        """The same repository, with a folder of ours in place of the user's checkout."""
        return Git(work_tree, self.git_dir, work_tree, index, _COPY_SETTINGS)

    def with_index(self, index: Path) -> "Git":
        return Git(self.cwd, self.git_dir, self.work_tree, index, self.settings)

    def with_settings(self, *settings: str) -> "Git":
        return Git(self.cwd, self.git_dir, self.work_tree, self.index, (*self.settings, *settings))

    def run(
        self,
        *args: str,
        stdin: bytes = b"",
        at_ms: int | None = None,
        accepted: Sequence[int] = (0,),
        timeout_s: float = _TIMEOUT_S,
    ) -> bytes:
        """Standard output. `at_ms` is the date of a commit that is made. `accepted` are the exit codes that are no failure.

        Raises: `GitFailed` with git's own last line; `UsageError` when git is not installed; `WorkspaceError` on a time-out.
        """
        settings = (part for setting in (*_SETTINGS, *self.settings) for part in ("-c", setting))
        argv = ["git", *settings, *args]
        try:
            done = subprocess.run(
                argv,
                input=stdin,
                capture_output=True,
                cwd=self.cwd,
                env=self._environment(at_ms),
                timeout=timeout_s,
                check=False,
            )
        except FileNotFoundError as error:
            if error.filename != "git":
                raise WorkspaceError(
                    f"folder {str(self.cwd)!r} is gone; expected it while 'git {args[0]}' runs"
                ) from None
            raise UsageError(
                "git is not installed or not on PATH; expected git 2.30 or newer: install it, e.g. `apt-get install git`"
            ) from None
        except subprocess.TimeoutExpired:
            raise WorkspaceError(
                f"'git {args[0]}' did not end within {timeout_s:.0f} s in {str(self.cwd)!r}; look for a stuck disk or filter"
            ) from None
        if done.returncode not in accepted:
            said = done.stderr.decode("utf-8", "replace").strip()
            # Advice comes last and does not say what is wrong.
            lines = [line for line in said.splitlines() if not line.startswith("hint:")]
            last = lines[-1] if lines else f"exit code {done.returncode}"
            raise GitFailed(f"'git {args[0]}' failed in {str(self.cwd)!r}: {last}", said)
        return done.stdout

    def line(self, *args: str, stdin: bytes = b"", at_ms: int | None = None) -> str:
        """The one line a command prints, without its end; a path keeps its odd bytes."""
        return os.fsdecode(self.run(*args, stdin=stdin, at_ms=at_ms).removesuffix(b"\n"))

    def _environment(self, at_ms: int | None) -> Mapping[str, str]:
        env = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
        name, email = _IDENTITY
        env |= {
            "LC_ALL": "C",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_AUTHOR_NAME": name,
            "GIT_AUTHOR_EMAIL": email,
            "GIT_COMMITTER_NAME": name,
            "GIT_COMMITTER_EMAIL": email,
        }
        if at_ms is not None:
            env |= {"GIT_AUTHOR_DATE": f"@{at_ms // 1000} +0000", "GIT_COMMITTER_DATE": f"@{at_ms // 1000} +0000"}
        for variable, path in (
            ("GIT_DIR", self.git_dir),
            ("GIT_WORK_TREE", self.work_tree),
            ("GIT_INDEX_FILE", self.index),
        ):
            if path is not None:
                env[variable] = str(path)
        return env


def version(directory: Path) -> tuple[int, ...]:
    """Of the git on PATH, e.g. `(2, 39, 5)`; `directory` is any folder that exists."""
    words = Git(directory).line("version").split()
    numbers = words[2].split(".") if len(words) > 2 else []
    return tuple(int(number) for number in numbers if number.isdecimal())
