"""How the commands of a repository are isolated: what is chosen, what they see of the user's installations, and the proof that it holds."""

import asyncio
import os
import shlex
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from loopwright.errors import SandboxError, UsageError
from loopwright.sandbox.programs import ResolvingSandbox, search_path
from loopwright.sandbox.protocol import Sandbox
from loopwright.sandbox.select import PREFERENCES, Setting, choose
from loopwright.sandbox.visible import visible_folders

__all__ = ["HOMES", "Isolation", "isolation_of", "proved"]

HOMES: Final = "homes"
"""Below the runtime folder: what commands get as HOME and TMPDIR, each used by one call at a time."""


@dataclass(frozen=True, slots=True)
class Isolation:
    """`preference` is one of `sandbox.select.PREFERENCES`; `packages` are variables that lead to what the user installed."""

    preference: str
    root: Path
    env_path: str
    virtual_env: str | None
    packages: Mapping[str, str]
    setting: Setting

    def open(self) -> Sandbox:
        """The backend, finding programs as the repository's people do. Raises: `SandboxError` when it is not to be had here."""
        inner = choose(self.preference, self.setting)
        return ResolvingSandbox(inner, self.root, self.env_path, self.virtual_env, sys.executable, self.packages)


def isolation_of(root: Path, runtime_dir: Path, env: Mapping[str, str], *, unsandboxed: bool = False) -> Isolation:
    """From the environment: `LOOPWRIGHT_SANDBOX` (a preference), `LOOPWRIGHT_SANDBOX_READ` (more folders that commands may read, by `:`),
    `LOOPWRIGHT_CONTAINER` (`podman`, or an engine with its options) and `LOOPWRIGHT_CONTAINER_IMAGE`.

    Raises: `UsageError` for a backend that there is not.
    """
    wanted = "none" if unsandboxed else env.get("LOOPWRIGHT_SANDBOX") or "auto"
    if wanted not in PREFERENCES:
        raise UsageError(
            f"LOOPWRIGHT_SANDBOX: expected one of {', '.join(PREFERENCES)}, found {wanted!r}; unset it for bubblewrap"
        )
    env_path = env.get("PATH", os.defpath)
    virtual_env = env.get("VIRTUAL_ENV") or None
    packages = _user_packages(env)
    home = Path(env["HOME"]) if env.get("HOME") else None
    prefixes = [root / ".venv", root / "venv", Path(sys.prefix), Path(sys.base_prefix)]
    prefixes += [Path(virtual_env)] if virtual_env else []
    prefixes += [Path(base) / "lib" for base in packages.values()]
    more = [Path(folder) for folder in env.get("LOOPWRIGHT_SANDBOX_READ", "").split(os.pathsep) if folder]
    missing = [str(folder) for folder in more if not folder.is_absolute() or not folder.exists()]
    if missing:
        raise UsageError(f"LOOPWRIGHT_SANDBOX_READ: expected absolute folders that exist, found {missing[0]!r}")
    setting = Setting(
        runtime_home=runtime_dir / HOMES,
        path=search_path(root, env_path, virtual_env, sys.executable),
        read_only=visible_folders(path=env_path, prefixes=prefixes, home=home, root=root, more=more),
        env={name: value for name, value in env.items() if name.startswith("LOOPWRIGHT_SANDBOX")},
        engine=tuple(shlex.split(env.get("LOOPWRIGHT_CONTAINER") or "")),
        image=env.get("LOOPWRIGHT_CONTAINER_IMAGE", ""),
    )
    return Isolation(wanted, root, env_path, virtual_env, packages, setting)


def proved(sandbox: Sandbox) -> str:
    """Run the production command line with canaries; the level that was reached. A backend without isolation has nothing to prove.

    Raises: `SandboxError` with the step that did not hold and what to do.
    """
    if not sandbox.isolated:
        return sandbox.description
    from loopwright.sandbox.probe import probe

    with tempfile.TemporaryDirectory(prefix="loopwright-probe-") as scratch:
        report = asyncio.run(probe(sandbox, Path(scratch)))
    if not report.ok:
        step = report.failed[0]
        raise SandboxError(
            f"sandbox {report.backend}: step {step.name!r} did not hold: {step.detail}; {step.fix} "
            "(or --unsandboxed, which gives commands your own rights)"
        )
    return report.level


def _user_packages(env: Mapping[str, str]) -> dict[str, str]:
    """A command's HOME is empty and private; what the user installed with `pip install --user` must still be found."""
    base = env.get("PYTHONUSERBASE") or str(Path(env.get("HOME", "/nonexistent")) / ".local")
    return {"PYTHONUSERBASE": base} if (Path(base) / "lib").is_dir() else {}
