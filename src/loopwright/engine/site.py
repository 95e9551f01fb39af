"""A repository on this machine with everything a run of it needs: journal, workspace, sandbox, clock."""

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from loopwright.engine.isolation import HOMES, Isolation, isolation_of, proved
from loopwright.engine.protocol import Clock
from loopwright.journal.opening import open_journal
from loopwright.journal.protocol import Journal
from loopwright.journal.redact import Redactor
from loopwright.sandbox.late import LateSandbox
from loopwright.sandbox.protocol import Sandbox
from loopwright.workspace.repository import Repository

__all__ = ["HOMES", "RUNTIME_DIR", "Site", "new_run_id", "open_site", "prove_isolation", "wall_clock_ms"]

RUNTIME_DIR = ".loopwright"

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


@dataclass(frozen=True, slots=True)
class Site:
    """`runtime_dir` is `.loopwright/` of the repository. `sandbox` is opened at its first use."""

    repository: Repository
    journal: Journal
    sandbox: Sandbox
    isolation: Isolation
    runtime_dir: Path
    now_ms: Clock
    redactor: Redactor
    """The one that everything written goes through; it learns secrets as they are loaded."""
    env: Mapping[str, str] = field(repr=False)

    def run_dir(self, run_id: str) -> Path:
        return self.runtime_dir / "runs" / run_id


def wall_clock_ms() -> int:
    return time.time_ns() // 1_000_000


def new_run_id() -> str:
    """Eight characters that are easy to read aloud (40 random bits); the journal refuses one that is taken."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(8))


def open_site(
    directory: Path, env: Mapping[str, str], now_ms: Clock = wall_clock_ms, *, unsandboxed: bool = False
) -> Site:
    """The site of the repository that holds `directory`; `unsandboxed` is the person's own word that commands get all rights.

    Raises: `UsageError` when it is not a usable git repository or the journal cannot be reached, `JournalTooNew`.
    """
    repository = Repository.find(directory)
    runtime_dir = repository.root / RUNTIME_DIR
    isolation = isolation_of(repository.root, runtime_dir, env, unsandboxed=unsandboxed)
    redactor = Redactor.from_environment(env)
    journal = open_journal(repository.root, env.get("LOOPWRIGHT_JOURNAL") or None, now_ms=now_ms, redactor=redactor)
    repository.exclude_runtime_dir()
    return Site(
        repository=repository,
        journal=journal,
        sandbox=LateSandbox(isolation.open),
        isolation=isolation,
        runtime_dir=runtime_dir,
        now_ms=now_ms,
        redactor=redactor,
        env=env,
    )


def prove_isolation(site: Site) -> str:
    """Try the sandbox of a site for real before anything is run in it; the level reached. Raises: `SandboxError`."""
    return proved(site.sandbox)
