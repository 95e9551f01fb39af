"""A repository on this machine with everything a run of it needs: journal, workspace, sandbox, clock."""

import os
import secrets
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from loopwright.engine.protocol import Clock
from loopwright.journal.opening import open_journal
from loopwright.journal.protocol import Journal
from loopwright.journal.redact import Redactor
from loopwright.sandbox.plain import PlainSandbox
from loopwright.sandbox.programs import ResolvingSandbox, search_path
from loopwright.sandbox.protocol import Sandbox
from loopwright.workspace.repository import Repository

__all__ = ["HOMES", "RUNTIME_DIR", "Site", "new_run_id", "open_site", "wall_clock_ms"]

RUNTIME_DIR = ".loopwright"

HOMES = "homes"
"""Below the runtime folder: the private HOME and TMPDIR of commands, each used by one call at a time."""

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


@dataclass(frozen=True, slots=True)
class Site:
    """`runtime_dir` is `.loopwright/` of the repository."""

    repository: Repository
    journal: Journal
    sandbox: Sandbox
    runtime_dir: Path
    now_ms: Clock

    def run_dir(self, run_id: str) -> Path:
        return self.runtime_dir / "runs" / run_id


def wall_clock_ms() -> int:
    return time.time_ns() // 1_000_000


def new_run_id() -> str:
    """Eight characters that are easy to read aloud (40 random bits); the journal refuses one that is taken."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(8))


def open_site(directory: Path, env: Mapping[str, str], now_ms: Clock = wall_clock_ms) -> Site:
    """The site of the repository that holds `directory`.

    Raises: `UsageError` when it is not a usable git repository or the journal cannot be reached, `JournalTooNew`.
    """
    repository = Repository.find(directory)
    runtime_dir = repository.root / RUNTIME_DIR
    journal = open_journal(
        repository.root, env.get("LOOPWRIGHT_JOURNAL") or None, now_ms=now_ms, redactor=Redactor.from_environment(env)
    )
    repository.exclude_runtime_dir()
    env_path = env.get("PATH", os.defpath)
    virtual_env = env.get("VIRTUAL_ENV")
    path = search_path(repository.root, env_path, virtual_env, sys.executable)
    return Site(
        repository=repository,
        journal=journal,
        sandbox=ResolvingSandbox(
            PlainSandbox(runtime_dir / HOMES, path),
            repository.root,
            env_path,
            virtual_env,
            sys.executable,
            _user_packages(env),
        ),
        runtime_dir=runtime_dir,
        now_ms=now_ms,
    )


def _user_packages(env: Mapping[str, str]) -> dict[str, str]:
    """A command's HOME is empty and private; what the user installed with `pip install --user` must still be found."""
    base = env.get("PYTHONUSERBASE") or str(Path(env.get("HOME", "/nonexistent")) / ".local")
    return {"PYTHONUSERBASE": base} if (Path(base) / "lib").is_dir() else {}
