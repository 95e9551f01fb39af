"""A sandbox that is opened when it is first needed: looking at a journal must not need one, and must not pay for one."""

from collections.abc import Callable
from pathlib import Path

from loopwright.sandbox.protocol import ExecResult, ExecSpec, Sandbox

__all__ = ["LateSandbox"]


class LateSandbox:
    """`open_sandbox` chooses it; its `SandboxError` comes from the first use."""

    def __init__(self, open_sandbox: Callable[[], Sandbox]) -> None:
        self._open = open_sandbox
        self._sandbox: Sandbox | None = None

    @property
    def opened(self) -> Sandbox:
        """Raises: `SandboxError` when no isolation is to be had here."""
        if self._sandbox is None:
            self._sandbox = self._open()
        return self._sandbox

    @property
    def description(self) -> str:
        return self.opened.description

    @property
    def isolated(self) -> bool:
        return self.opened.isolated

    @property
    def overlays(self) -> bool:
        return self.opened.overlays

    @property
    def uid(self) -> int:
        return self.opened.uid

    async def run(self, spec: ExecSpec) -> ExecResult:
        return await self.opened.run(spec)

    def kill_orphans(self, run_id: str) -> int:
        return self.opened.kill_orphans(run_id)

    def release(self, folder: Path) -> None:
        if self._sandbox is not None:
            self._sandbox.release(folder)

    def close(self) -> None:
        if self._sandbox is not None:
            self._sandbox.close()
