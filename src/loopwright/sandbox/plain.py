"""The backend without isolation: an ordinary process tree with a clean environment, limits, and nothing left of it afterwards.

It keeps honest mistakes in bounds (runaway output, hung tests, daemons left behind), not an attacker: whoever clears his
environment, leaves the session and outlives his parent is not found again.
"""

import asyncio
import contextlib
import os
import secrets
import shutil
import signal
import stat
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Literal

from loopwright.errors import SandboxError
from loopwright.sandbox.capture import Capture
from loopwright.sandbox.processes import end_all, pids, reaped, with_mark, with_mark_prefix
from loopwright.sandbox.protocol import ExecResult, ExecSpec, Limits
from loopwright.sandbox.remove import remove_tree

__all__ = ["PlainSandbox"]

_ACTION = "LOOPWRIGHT_ACTION"
_CALL = "LOOPWRIGHT_CALL"
_DRAIN_S = 1.0
_HOME_FOLDERS = ("home", "tmp")


class PlainSandbox:
    """Runs commands as this user. `runtime_home` holds a private HOME and TMPDIR for each call; `path` is PATH.

    `Limits.processes` is not enforced: the kernel counts it over everything that this user runs, so it would stop innocent programs.
    """

    def __init__(self, runtime_home: Path, path: str) -> None:
        self._runtime_home = runtime_home
        self._path = path
        self._clean_homes: list[Path] = []

    @property
    def description(self) -> str:
        return "plain processes, not sandboxed"

    @property
    def isolated(self) -> bool:
        return False

    @property
    def overlays(self) -> bool:
        return False

    @property
    def uid(self) -> int:
        return os.getuid()

    async def run(self, spec: ExecSpec) -> ExecResult:
        """Run to the end or to the limit; see the protocol. `spec.action_id` is `<run>/<action>`: `kill_orphans` goes by its front.

        Raises: `SandboxError` when the command cannot be started at all, or when a process of it will not die.
        """
        started_s = time.monotonic()
        if not spec.cwd.is_dir():
            raise SandboxError(
                f"working directory {str(spec.cwd)!r} of action {spec.action_id!r} does not exist; expected a folder"
            )
        if not _is_found(spec, self._path):
            return ExecResult("not_found", 127, b"", b"", _ms_since(started_s))
        home = self._private_home()
        try:
            return await self._run_in(spec, home, started_s)
        finally:
            # Most commands leave both empty; making them anew costs milliseconds on a busy disk.
            if _is_as_made(home):
                self._clean_homes.append(home)
            else:
                remove_tree(home)

    def release(self, folder: Path) -> None:
        """Nothing is mounted between two commands."""

    def close(self) -> None:
        """Remove the empty homes that are kept for the next call; the sandbox can be used again."""
        while self._clean_homes:
            remove_tree(self._clean_homes.pop())

    def kill_orphans(self, run_id: str) -> int:
        """End what a dead driver of this run left running; the number of processes ended. Finds nothing outside Linux."""
        killed, _ = end_all(with_mark_prefix(_ACTION, f"{run_id}/"))
        return killed

    async def _run_in(self, spec: ExecSpec, home: Path, started_s: float) -> ExecResult:
        call = secrets.token_hex(8)
        flooded = asyncio.Event()
        before = pids()
        capture = Capture(spec.limits.output_bytes, flooded.set)
        process: asyncio.subprocess.Process | None = None
        left: tuple[int, ...] = ()
        try:
            process = await self._spawn(spec, self._environment(spec, home, call), capture)
            status = await _first_of(process, flooded, spec.timeout_s)
        finally:
            # Also on cancellation, and while the process is being made: then only the mark leads to it.
            # By the marks first: once the first process is gone, what it adopted cannot be traced back to it.
            session = process.pid if process is not None else -1
            _, left = end_all(with_mark(f"{_CALL}={call}", besides=before, session=session))
            if process is not None and process.returncode is None:
                # Not reaped yet, so the number is still its own: also the group's, for where there is no /proc to look in.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
            try:
                if process is not None:
                    await reaped(process)
                    await capture.drain(_DRAIN_S)
            finally:
                capture.close()
        if left:
            raise SandboxError(
                f"processes {list(left)} of action {spec.action_id!r} do not die; expected none left; see `ps` on this machine"
            )
        returncode = process.returncode if process.returncode is not None else -9
        stdout, stderr = capture.text(0), capture.text(1)
        return ExecResult(status, returncode, stdout, stderr, _ms_since(started_s), truncated=capture.truncated)

    async def _spawn(self, spec: ExecSpec, env: Mapping[str, str], capture: Capture) -> asyncio.subprocess.Process:
        write_fds: list[int] = []
        stdin = _stdin(spec.stdin)
        try:
            write_fds = [capture.stream(), capture.stream()]
            return await asyncio.create_subprocess_exec(
                *_limited(spec.argv, spec.limits),
                stdin=stdin,
                stdout=write_fds[0],
                stderr=write_fds[1],
                cwd=spec.cwd,
                env=env,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise SandboxError(
                f"command {spec.argv[0]!r} cannot be started: {error}; expected a command the system takes"
            ) from error
        finally:
            for fd in write_fds:
                os.close(fd)
            if not isinstance(stdin, int):
                stdin.close()

    def _environment(self, spec: ExecSpec, home: Path, call: str) -> dict[str, str]:
        """All of it: nothing of ours is inherited, so no secret of ours can be read."""
        return {
            "PATH": self._path,
            "HOME": str(home / "home"),
            "TMPDIR": str(home / "tmp"),
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            "PYTHONDONTWRITEBYTECODE": "1",
            # A candidate lies inside the user's checkout and has no `.git`: a `git` that runs in it must not find the user's.
            "GIT_CEILING_DIRECTORIES": ":".join(str(path.parent) for path in (spec.cwd, *spec.writable)),
            **spec.env,
            _ACTION: spec.action_id,
            _CALL: call,
        }

    def _private_home(self) -> Path:
        """Of this call alone: a home that lives on would carry what one candidate planted (a `usercustomize.py`) to the next."""
        while self._clean_homes:
            home = self._clean_homes.pop()
            if _is_as_made(home):
                return home
        try:
            self._runtime_home.mkdir(parents=True, exist_ok=True)
            home = Path(tempfile.mkdtemp(prefix="h", dir=self._runtime_home))
            for name in _HOME_FOLDERS:
                (home / name).mkdir(mode=0o700)
        except OSError as error:
            raise SandboxError(
                f"no private home can be made in {str(self._runtime_home)!r}: {error}; make it writable"
            ) from error
        return home


def _is_as_made(home: Path) -> bool:
    """Whether a home holds its two empty folders, with the modes they were made with, and nothing else."""
    try:
        if sorted(os.listdir(home)) != sorted(_HOME_FOLDERS):
            return False
        made = stat.S_IFDIR | 0o700
        folders = (home, *(home / name for name in _HOME_FOLDERS))
        return all(os.lstat(folder).st_mode == made for folder in folders) and not any(map(os.listdir, folders[1:]))
    except OSError:
        return False


async def _first_of(
    process: asyncio.subprocess.Process, flooded: asyncio.Event, timeout_s: float
) -> Literal["exited", "timeout", "output_limit"]:
    ends = asyncio.ensure_future(process.wait())
    floods = asyncio.ensure_future(flooded.wait())
    try:
        await asyncio.wait({ends, floods}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        # Asked of the process: a command that ended in the very moment of its time-out has ended.
        if process.returncode is not None:
            return "exited"
        return "output_limit" if flooded.is_set() else "timeout"
    finally:
        ends.cancel()
        floods.cancel()


def _limited(argv: tuple[str, ...], limits: Limits) -> tuple[str, ...]:
    """A shell sets the limits and becomes the program. Python's `preexec_fn` would fork a large parent: 92 ms at 500 MB."""
    # A limit that is already tighter stays: the shell goes on when it may not raise it, and must not write that into the output.
    steps = ["exec 9>&2 2>/dev/null", "ulimit -c 0", f"ulimit -f {-(-limits.file_bytes // 512)}"]
    if limits.cpu_s is not None:
        steps.append(f"ulimit -t {limits.cpu_s}")
    if limits.memory_bytes is not None:
        steps.append(f"ulimit -v {-(-limits.memory_bytes // 1024)}")
    steps.append("exec 2>&9 9>&-")
    return ("/bin/sh", "-c", f'{"; ".join(steps)}; exec "$@"', "sh", *argv)


def _stdin(data: bytes) -> int | IO[bytes]:
    """A file, not a pipe: a process that never reads it blocks nobody."""
    if not data:
        return asyncio.subprocess.DEVNULL
    file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by the caller once the child has it
    file.write(data)
    file.seek(0)
    return file


def _is_found(spec: ExecSpec, path: str) -> bool:
    if not spec.argv or not spec.argv[0]:
        return False
    program = spec.argv[0]
    if "/" in program:
        where = spec.cwd / program
        return where.is_file() and os.access(where, os.X_OK)
    return shutil.which(program, path=spec.env.get("PATH", path)) is not None


def _ms_since(started_s: float) -> int:
    return round((time.monotonic() - started_s) * 1000)
