"""What runs a command: one call, one process tree, and nothing of it left afterwards."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

__all__ = ["ExecResult", "ExecSpec", "Limits", "Sandbox"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Per process, but `output_bytes`, which is of the whole call. `None` = the backend's default, never "unlimited" by accident."""

    cpu_s: int | None = None
    file_bytes: int = 2 << 30
    memory_bytes: int | None = None
    processes: int | None = None
    output_bytes: int = 4 << 20


@dataclass(frozen=True, slots=True)
class ExecSpec:
    """`argv` is never given to a shell. The child's environment is the backend's minimal one plus `env`, nothing inherited.

    `action_id` marks every process of the tree (`LOOPWRIGHT_ACTION`), so that what a killed driver left running is found again.
    """

    argv: tuple[str, ...]
    cwd: Path
    timeout_s: float
    action_id: str
    env: Mapping[str, str] = field(default_factory=dict)
    stdin: bytes = b""
    writable: tuple[Path, ...] = ()
    limits: Limits = Limits()


@dataclass(frozen=True, slots=True)
class ExecResult:
    """`returncode` is meaningful for `exited` only; a signal is negative. Output past the limit is cut and `truncated`."""

    status: Literal["exited", "timeout", "not_found", "output_limit"]
    returncode: int
    stdout: bytes
    stderr: bytes
    wall_ms: int
    truncated: bool = False


class Sandbox(Protocol):
    @property
    def description(self) -> str:
        """For journal, reports and doctor: backend and level, e.g. `plain processes, not sandboxed`."""
        ...

    @property
    def isolated(self) -> bool: ...

    async def run(self, spec: ExecSpec) -> ExecResult:
        """Run to the end or to the limit. On return, and on cancellation, no process of the tree is alive.

        Raises: `SandboxError` when the isolation cannot be set up.
        """
        ...

    def kill_orphans(self, run_id: str) -> int:
        """End what a dead driver of this run left running; the number of processes ended."""
        ...
