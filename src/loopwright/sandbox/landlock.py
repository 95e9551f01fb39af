"""The reduced rung: no namespaces, so what lies outside is seen and refused rather than absent. Only by explicit choice.

What it does NOT hold, measured by the probes: mode, times and attributes of a file outside can be changed by its owner, and folders be
watched; System V shared memory is reached; processes of the same user can be pinned to a processor; memory is limited for each process
and not for all together. It also takes all sockets from the command but its own pairs, so a suite that starts local servers fails here.
"""

import dataclasses
import functools
import json
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from loopwright.errors import SandboxError
from loopwright.sandbox.handover import hand_over
from loopwright.sandbox.plain import PlainSandbox
from loopwright.sandbox.protocol import ExecResult, ExecSpec
from loopwright.sandbox.remove import remove_tree

__all__ = ["LandlockSandbox", "landlock_abi"]

DEFAULT_PROCESSES = 512
DEFAULT_MEMORY_BYTES = 4 << 30
OPEN_FILES = 4096
_SETUP_FAILED = 125
_CREATE = 444
_SYSTEM = (
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/proc/self",
    "/proc/meminfo",
    "/proc/cpuinfo",
    "/proc/sys",
)
_ETC = (
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "passwd",
    "group",
    "nsswitch.conf",
    "localtime",
    "timezone",
    "ssl/certs",
    "ssl/openssl.cnf",
    "alternatives",
    "hosts",
    "mime.types",
    "gitconfig",
)
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/ptmx", "/dev/pts")


class LandlockSandbox:
    """A plain process that can only reach the files it is shown, has no sockets, and cannot get rights back. `uid` is who it is."""

    def __init__(self, runtime_home: Path, path: str, read_only: Sequence[Path], *, uid: int) -> None:
        self._runtime_home = runtime_home
        self._path = path
        self._read_only = tuple(read_only)
        self._uid = uid
        self._plain = PlainSandbox(runtime_home, path)

    @property
    def description(self) -> str:
        return f"reduced sandbox: Landlock version {landlock_abi()} and seccomp, no namespaces (uid {self._uid})"

    @property
    def isolated(self) -> bool:
        return True

    @property
    def overlays(self) -> bool:
        return False

    @property
    def uid(self) -> int:
        return self._uid

    async def run(self, spec: ExecSpec) -> ExecResult:
        """As the protocol says. Raises: `SandboxError` when the kernel refuses a step, with the step and its error."""
        if spec.overlays or any(bind.source != bind.target for bind in spec.binds):
            raise SandboxError(
                f"action {spec.action_id!r}: Landlock shows everything at its own place; expected no overlay and no bind elsewhere"
            )
        if landlock_abi() < 1:
            raise SandboxError(
                "reduced sandbox: step Landlock failed: the kernel has none; expected Linux 5.13 or newer with landlock in its "
                "list of security modules: use bubblewrap or a container"
            )
        self._runtime_home.mkdir(parents=True, exist_ok=True)
        home = Path(tempfile.mkdtemp(prefix="r", dir=self._runtime_home))
        try:
            writable = (*spec.writable, *(bind.source for bind in spec.binds if bind.writable), home)
            hand_over(dict.fromkeys(writable), self._uid)
            done = await self._plain.run(self._wrapped(spec, home, writable))
        finally:
            remove_tree(home)
        said = done.stderr.decode("utf-8", "replace")
        if done.returncode == _SETUP_FAILED and "\n@@setup " in said:
            step = said.rpartition("\n@@setup ")[2].strip()
            raise SandboxError(f"reduced sandbox: step {step}; use bubblewrap or a container, or an older command line")
        if done.status == "exited" and done.returncode == 127 and said.startswith(f"{spec.argv[0]}: "):
            return dataclasses.replace(done, status="not_found")
        return done

    def kill_orphans(self, run_id: str) -> int:
        return self._plain.kill_orphans(run_id)

    def release(self, folder: Path) -> None:
        """Nothing is mounted between two commands."""

    def close(self) -> None:
        self._plain.close()

    def _wrapped(self, spec: ExecSpec, home: Path, writable: Sequence[Path]) -> ExecSpec:
        from loopwright.sandbox.seccomp import program

        limits = spec.limits
        settings = {
            "uid": self._uid,
            "cwd": str(spec.cwd),
            "readable": [
                *_SYSTEM,
                *(f"/etc/{name}" for name in _ETC),
                *map(str, (*self._read_only, *spec.readable, *(b.source for b in spec.binds), spec.cwd)),
            ],
            "writable": [str(folder) for folder in writable],
            "devices": _DEVICES,
            "limits": [
                ("RLIMIT_CORE", 0),
                ("RLIMIT_NOFILE", OPEN_FILES),
                ("RLIMIT_NPROC", limits.processes or DEFAULT_PROCESSES),
                ("RLIMIT_AS", limits.memory_bytes or DEFAULT_MEMORY_BYTES),
                ("RLIMIT_FSIZE", limits.file_bytes),
                *([("RLIMIT_CPU", limits.cpu_s)] if limits.cpu_s is not None else []),
            ],
            "seccomp": program((), platform.machine()).hex(),
        }
        return dataclasses.replace(
            spec,
            argv=(sys.executable, "-I", "-S", "-c", _program(), json.dumps(settings), *spec.argv),
            cwd=Path("/"),
            env={"HOME": str(home), "TMPDIR": str(home), "PATH": self._path, **spec.env},
            # Set inside, where they hold for the command alone and not for what sets it up.
            limits=dataclasses.replace(limits, memory_bytes=None, cpu_s=None),
            binds=(),
        )


@functools.cache
def landlock_abi() -> int:
    """The kernel's version of Landlock, 0 when it has none."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    return max(0, int(libc.syscall(_CREATE, None, ctypes.c_long(0), ctypes.c_long(1)))) if os.name == "posix" else 0


@functools.cache
def _program() -> str:
    return resources.files("loopwright.sandbox.reduced").joinpath("inside.py").read_text(encoding="utf-8")
