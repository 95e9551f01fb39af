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
from loopwright.sandbox.protocol import Sandbox
from loopwright.workspace.repository import Repository

__all__ = ["RUNTIME_DIR", "Site", "new_run_id", "open_site", "wall_clock_ms"]

RUNTIME_DIR = ".loopwright"

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


@dataclass(frozen=True, slots=True)
class Site:
    """`runtime_dir` is `.loopwright/` of the repository; `env_path` and `virtual_env` are what programs are looked up with."""

    repository: Repository
    journal: Journal
    sandbox: Sandbox
    runtime_dir: Path
    now_ms: Clock
    env_path: str
    virtual_env: str | None

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
    return Site(
        repository=repository,
        journal=journal,
        sandbox=PlainSandbox(runtime_dir / "home", _path_with_own_python(env_path)),
        runtime_dir=runtime_dir,
        now_ms=now_ms,
        env_path=env_path,
        virtual_env=env.get("VIRTUAL_ENV"),
    )


def _path_with_own_python(env_path: str) -> str:
    """Our interpreter's folder comes last: a machine that has only `python3` still finds a `python`."""
    own = str(Path(sys.executable).parent)
    return env_path if own in env_path.split(os.pathsep) else os.pathsep.join((env_path, own))
