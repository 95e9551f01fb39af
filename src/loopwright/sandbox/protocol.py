"""What runs a command: one call, one process tree, and nothing of it left afterwards."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

__all__ = ["Bind", "ExecResult", "ExecSpec", "Limits", "Overlay", "Sandbox"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Per process, but `output_bytes`, which is of the whole call. `None` = the backend's default, never "unlimited" by accident."""

    cpu_s: int | None = None
    file_bytes: int = 2 << 30
    memory_bytes: int | None = None
    processes: int | None = None
    output_bytes: int = 4 << 20


@dataclass(frozen=True, slots=True)
class Bind:
    """A folder, file or socket of this machine that the command sees at `target` (absolute), read-only unless `writable`."""

    source: Path
    target: Path
    writable: bool = False


@dataclass(frozen=True, slots=True)
class Overlay:
    """A copy on write: `lower` is read-only, what is changed at `target` lands in `upper`; `work` is empty and on upper's file system.

    Changes are overlayfs's own: a character device 0:0 in `upper` is a deletion. One mount per `upper` at a time.
    """

    target: Path
    lower: Path
    upper: Path
    work: Path


@dataclass(frozen=True, slots=True)
class ExecSpec:
    """`argv` is never given to a shell. The child's environment is the backend's minimal one plus `env`, nothing inherited.

    `action_id` marks every process of the tree (`LOOPWRIGHT_ACTION`), so that what a killed driver left running is found again.
    An isolated backend shows the command the system's programs, `cwd`, `writable`, `readable`, `binds` and `overlays`, and nothing else
    of this machine; one that is not isolated refuses `overlays` and the `binds` whose target is not their source.
    """

    argv: tuple[str, ...]
    cwd: Path
    timeout_s: float
    action_id: str
    env: Mapping[str, str] = field(default_factory=dict)
    stdin: bytes = b""
    writable: tuple[Path, ...] = ()
    readable: tuple[Path, ...] = ()
    binds: tuple[Bind, ...] = ()
    overlays: tuple[Overlay, ...] = ()
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

    @property
    def overlays(self) -> bool:
        """Whether it can mount `ExecSpec.overlays`; candidates are full copies where it cannot."""
        ...

    @property
    def uid(self) -> int:
        """Who the command is on this machine; files that it may write must be its. Our own uid unless rights were dropped."""
        ...

    async def run(self, spec: ExecSpec) -> ExecResult:
        """Run to the end or to the limit. On return, and on cancellation, no process of the tree is alive.

        Raises: `SandboxError` when the isolation cannot be set up.
        """
        ...

    def kill_orphans(self, run_id: str) -> int:
        """End what a dead driver of this run left running; the number of processes ended."""
        ...

    def release(self, folder: Path) -> None:
        """Let go of everything below `folder`, which is about to be deleted: nothing of it is mounted any more afterwards."""
        ...

    def close(self) -> None:
        """End what it keeps ready for the next command; it can be used again."""
        ...
