"""A sandbox that finds programs as the repository's people do: their virtual environment first, then the PATH."""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path

from loopwright.sandbox.protocol import ExecResult, ExecSpec, Sandbox
from loopwright.sandbox.resolve import resolve_program

__all__ = ["ResolvingSandbox", "search_path"]


def search_path(root: Path, env_path: str, virtual_env: str | None, own_python: str) -> str:
    """PATH for what runs in a copy of `root`: its environments, the active one, the given PATH, and our interpreter's folder last."""
    folders = [root / name / "bin" for name in (".venv", "venv")]
    if virtual_env:
        folders.append(Path(virtual_env) / "bin")
    parts = [str(folder) for folder in folders if folder.is_dir()]
    return os.pathsep.join((*parts, *filter(None, env_path.split(os.pathsep)), str(Path(own_python).parent)))


class ResolvingSandbox:
    """Runs in `inner` what `resolve_program` finds. `env` is given to every command; what the command itself sets comes first."""

    def __init__(
        self,
        inner: Sandbox,
        root: Path,
        env_path: str,
        virtual_env: str | None,
        own_python: str,
        env: Mapping[str, str],
    ) -> None:
        self._inner = inner
        self._root = root
        self._env_path = env_path
        self._virtual_env = virtual_env
        self._own_python = own_python
        self._env = env

    @property
    def description(self) -> str:
        return self._inner.description

    @property
    def isolated(self) -> bool:
        return self._inner.isolated

    @property
    def overlays(self) -> bool:
        return self._inner.overlays

    @property
    def uid(self) -> int:
        return self._inner.uid

    async def run(self, spec: ExecSpec) -> ExecResult:
        argv = resolve_program(spec.argv, self._root, self._env_path, self._virtual_env, self._own_python)
        return await self._inner.run(dataclasses.replace(spec, argv=argv, env={**self._env, **spec.env}))

    def kill_orphans(self, run_id: str) -> int:
        return self._inner.kill_orphans(run_id)

    def release(self, folder: Path) -> None:
        self._inner.release(folder)

    def close(self) -> None:
        self._inner.close()
