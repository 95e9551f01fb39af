"""The default backend: namespaces by `bwrap`, a system call filter, limits, and nothing of this machine but what the call names."""

import asyncio
import contextlib
import dataclasses
import errno
import os
import socket
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from loopwright.errors import SandboxError
from loopwright.sandbox.bwrap import find_bwrap, interpreter
from loopwright.sandbox.capture import Capture
from loopwright.sandbox.diagnosis import UNKNOWN, explain
from loopwright.sandbox.handover import hand_over
from loopwright.sandbox.launch import Ended, Launcher, StageStep
from loopwright.sandbox.mounts import ETC, View, bwrap_arguments, etc_files, view_of
from loopwright.sandbox.pool import Pool, Warm
from loopwright.sandbox.processes import end_all, with_mark_prefix
from loopwright.sandbox.protocol import ExecResult, ExecSpec
from loopwright.sandbox.request import Answer, first_of, read_answer, send_request
from loopwright.sandbox.seccomp import program
from loopwright.sandbox.stage0.enter import INFO_FD, SECCOMP_FD, SERVER_CODE_FD

__all__ = ["BubblewrapSandbox"]

DEFAULT_MEMORY_BYTES = 4 << 30
DEFAULT_DISK_BYTES = 2 << 30
DEFAULT_PROCESSES = 512
_ACTION = "LOOPWRIGHT_ACTION"
_DRAIN_S = 1.0
_NOT_FOUND_ERRNOS = (errno.ENOENT, errno.EACCES, errno.ENOTDIR)
_START_CODE = f"import marshal,posix;exec(marshal.loads(posix.read({SERVER_CODE_FD},1<<20)),{{'__name__':'__main__'}})"


class BubblewrapSandbox:
    """Runs commands as `uid` in a sandbox of their view. `runtime_home` is a folder of ours; `path` is PATH; `read_only` are folders
    that every command sees, such as interpreters and virtual environments. `idle_limit` sandboxes wait for their next command.

    `uid` is ours or, when we are root, an unprivileged one (see `identity.sandbox_uid`): what a command may write must be its, and is
    given to it where it is not.
    """

    def __init__(
        self,
        runtime_home: Path,
        path: str,
        read_only: Sequence[Path] = (),
        *,
        uid: int,
        idle_limit: int = 8,
        memory_bytes: int = DEFAULT_MEMORY_BYTES,
        disk_bytes: int = DEFAULT_DISK_BYTES,
    ) -> None:
        """Raises: `SandboxError` when there is no `bwrap` that can be used."""
        self._path = path
        self._uid = uid
        self._memory_bytes = memory_bytes
        self._disk_bytes = disk_bytes
        self._bwrap, self._version = find_bwrap()
        self._drop_to = uid if os.getuid() == 0 else None
        self._home = runtime_home.absolute()
        self._staging = Path("/run/loopwright") if self._drop_to is not None else self._home / "staging"
        self._python, own_folders = interpreter()
        self._static = tuple(dict.fromkeys((*own_folders, *read_only)))
        self._pool = Pool(idle_limit)
        self._in_use: dict[str, asyncio.Lock] = {}
        self._launcher: Launcher | None = None

    @property
    def description(self) -> str:
        return f"bubblewrap {self._version} (user, pid, net, ipc, uts, cgroup namespaces; seccomp; uid {self._uid})"

    @property
    def isolated(self) -> bool:
        return True

    @property
    def overlays(self) -> bool:
        return True

    @property
    def uid(self) -> int:
        return self._uid

    @property
    def launcher_pid(self) -> int:
        """The process outside that holds everything inside; 0 while there is none."""
        return self._launcher.pid if self._launcher is not None else 0

    async def run(self, spec: ExecSpec) -> ExecResult:
        """As the protocol says; more than the memory or the disk allowed ends the whole tree with -9 and a line on standard error.

        Raises: `SandboxError` when the isolation cannot be set up: backend, step, errno and what to do.
        """
        started_s = time.monotonic()
        targets = [overlay.target for overlay in spec.overlays] + [bind.target for bind in spec.binds]
        if not any(map(spec.cwd.is_relative_to, targets)) and not spec.cwd.is_dir():
            raise SandboxError(
                f"working directory {str(spec.cwd)!r} of action {spec.action_id!r} does not exist; expected a folder"
            )
        if not spec.argv or not spec.argv[0]:
            return ExecResult("not_found", 127, b"", b"", _ms_since(started_s))
        view = view_of(spec)
        self._give(view)
        async with self._alone(view.uppers):
            warm = self._pool.take(view, lambda: self._start(view, spec.action_id))
            return await self._run_in(spec, warm, started_s)

    def release(self, folder: Path) -> None:
        """End the sandboxes that wait with something below `folder` mounted, for when it is about to be deleted."""
        self._pool.release(folder)

    def close(self) -> None:
        """End what waits, and the launcher; the sandbox can be used again."""
        self._pool.close()
        if self._launcher is not None:
            self._launcher.close()
            self._launcher = None

    def kill_orphans(self, run_id: str) -> int:
        """End what a dead driver of this run left running; as a rule it died with it, and this finds nothing."""
        killed, _ = end_all(with_mark_prefix(_ACTION, f"{run_id}/"))
        return killed

    async def _run_in(self, spec: ExecSpec, warm: Warm, started_s: float) -> ExecResult:
        flooded = asyncio.Event()
        capture = Capture(spec.limits.output_bytes, flooded.set)
        answer: Answer | None = None
        ended: Ended | None = None
        kept = False
        try:
            self._ask(spec, warm, capture)
            first = await first_of(warm.server, warm.lifeline, flooded, spec.timeout_s)
            if first == "answered" and (answer := read_answer(warm.server)) is not None:
                warm.lifeline.unwatch()
                kept = answer.clean and self._pool.give_back(warm)
        finally:
            # Also on cancellation. Killed with all its processes: what was not done, and what a command left as it should not.
            try:
                if not kept:
                    warm.lifeline.kill()
                    warm.server.close()
                    ended = await warm.lifeline.wait()
                await capture.drain(_DRAIN_S)
            finally:
                capture.close()
        result = ExecResult("exited", -9, capture.text(0), capture.text(1), _ms_since(started_s), capture.truncated)
        if answer is not None:
            return self._understood(answer, spec, result)
        if first in ("timeout", "output_limit"):
            return dataclasses.replace(result, status=first)
        if ended is None or ended.killed not in ("memory", "disk"):
            failure = None if ended is None else ended.failure
            raise SandboxError(explain(failure or UNKNOWN))
        return dataclasses.replace(result, stderr=result.stderr + self._limit_note(ended.killed, spec))

    def _ask(self, spec: ExecSpec, warm: Warm, capture: Capture) -> None:
        warm.lifeline.watch(spec.limits.memory_bytes or self._memory_bytes, self._disk_bytes)
        outputs: list[int] = []
        try:
            outputs += [capture.stream(), capture.stream()]
            send_request(warm.server, spec, outputs, path=self._path, uid=self._uid, processes=DEFAULT_PROCESSES)
        finally:
            for fd in outputs:
                os.close(fd)

    def _understood(self, answer: Answer, spec: ExecSpec, result: ExecResult) -> ExecResult:
        if answer.how == "exit":
            return dataclasses.replace(result, returncode=answer.number)
        if answer.how == "signal":
            return dataclasses.replace(result, returncode=-answer.number)
        if answer.how == "exec" and answer.number in _NOT_FOUND_ERRNOS:
            return dataclasses.replace(
                result, status="not_found", returncode=127, stderr=result.stderr + self._not_found_note(spec)
            )
        raise SandboxError(
            f"command {spec.argv[0]!r} cannot be started: step {answer.how!r} failed: {os.strerror(answer.number)}; "
            "expected a command and a working directory that the system takes"
        )

    def _not_found_note(self, spec: ExecSpec) -> bytes:
        program = spec.argv[0]
        if not os.path.isabs(program) or not os.path.exists(program):
            return b""
        folder = os.path.dirname(os.path.realpath(program))
        return os.fsencode(
            f"sandbox: {program!r} is on this machine but not to be seen or run in here; allow its folder {folder!r} to be read\n"
        )

    def _limit_note(self, which: str, spec: ExecSpec) -> bytes:
        limit = (spec.limits.memory_bytes or self._memory_bytes) if which == "memory" else self._disk_bytes
        return f"sandbox: ended because all processes together took more than {limit} bytes of {which}\n".encode()

    def _start(self, view: View, mark: str) -> Warm:
        launcher = self._ready_launcher()
        by_root = self._drop_to is not None
        steps: list[StageStep] = []
        staged: list[str] = []
        for number, mount in enumerate(view.mounts):
            name = f"{'f' if mount.layers is None and not os.path.isdir(mount.source) else 'd'}{number}"
            if mount.layers is not None:
                steps.append(("overlay", *mount.layers, name))
            elif by_root:
                # The user that `bwrap` runs as may not be able to go there, for it lies in somebody's home.
                steps.append(("bind", mount.source, name))
            staged.append(f"{self._staging}/{name}" if by_root or mount.layers is not None else mount.source)
        static = [
            (f"{self._staging}/s{number}" if by_root else str(folder), str(folder))
            for number, folder in enumerate(self._static)
        ]
        arguments = list(bwrap_arguments(view, staged, static, f"{self._staging}/etc", self._uid))
        descriptors = ["--seccomp", str(SECCOMP_FD), "--info-fd", str(INFO_FD)]
        command = ["--", self._python, "-I", "-S", "-c", _START_CODE]
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            lifeline = launcher.start_sandbox(
                [self._bwrap, *arguments, *descriptors, *command], steps, mark, view.writable, its
            )
        except BaseException:
            ours.close()
            raise
        return Warm(view, lifeline, ours)

    def _ready_launcher(self) -> Launcher:
        if self._launcher is not None:
            return self._launcher
        try:
            self._staging.mkdir(mode=0o755, parents=True, exist_ok=True)
        except OSError as error:
            raise SandboxError(
                f"bubblewrap: step 'staging folder' failed: {error}; expected to make {str(self._staging)!r}"
            ) from error
        steps: list[StageStep] = []
        if self._drop_to is not None:
            steps += [("bind", str(folder), f"s{number}") for number, folder in enumerate(self._static)]
        self._launcher = Launcher(self._staging, steps, self._drop_to, program(), ETC, etc_files(self._uid))
        return self._launcher

    def _give(self, view: View) -> None:
        """What the command may write, and is not its yet."""
        for mount in view.mounts:
            places = mount.layers[1:] if mount.layers is not None else (mount.source,)
            if mount.writable and self._drop_to is not None:
                # Looking at all of a tree each time would cost more than the command, so its top speaks for it.
                hand_over((Path(place) for place in places if os.lstat(place).st_uid != self._uid), self._uid)

    @contextlib.asynccontextmanager
    async def _alone(self, uppers: Sequence[str]) -> AsyncIterator[None]:
        """One command at a time for each upper layer."""
        async with contextlib.AsyncExitStack() as stack:
            for upper in sorted(uppers):
                lock = self._in_use.setdefault(upper, asyncio.Lock())
                await stack.enter_async_context(lock)
                stack.callback(self._forget, upper, lock)
            yield

    def _forget(self, upper: str, lock: asyncio.Lock) -> None:
        # Whoever waits holds the lock object itself; who comes later must meet him there.
        if not lock._waiters and self._in_use.get(upper) is lock:
            del self._in_use[upper]


def _ms_since(started_s: float) -> int:
    return round((time.monotonic() - started_s) * 1000)
