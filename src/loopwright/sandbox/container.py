"""The backend that asks a container engine (docker, podman): for machines where user namespaces are not to be had directly.

It must be configured: which engine, and which image or root file system. The command's programs are the image's, but the user's
installations (virtual environments, interpreters) are shown at their own places, so the image must be able to run them.
"""

import asyncio
import dataclasses
import os
import re
import secrets
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from loopwright.errors import SandboxError
from loopwright.sandbox.handover import hand_over
from loopwright.sandbox.plain import PlainSandbox
from loopwright.sandbox.protocol import ExecResult, ExecSpec

__all__ = ["ContainerSandbox"]

DEFAULT_MEMORY_BYTES = 4 << 30
DEFAULT_PROCESSES = 512
_TMP_BYTES = 256 << 20
_SHM_BYTES = 64 << 20
_OPEN_FILES = 4096
_ENGINE_FAILED = 125
_NOT_EXECUTABLE = 126
_NOT_FOUND = 127
_START_S = 60.0
"""What the engine may take to begin and to end a container, beyond the command's own time."""
_LABEL = "loopwright.run"
_AS_CHILD = ("sh", "-c", '"$@"; exit $?', "sh")
"""The first process of a container cannot be killed from inside, so a command that ends by a signal would seem to go well."""
_NAME = re.compile(r"[^A-Za-z0-9_.-]")


class ContainerSandbox:
    """Each command is a container of its own, without network, capabilities or a writable root.

    `engine` are the words to call it by (`("podman",)`, `("docker", "--host", …)`); `image` an image that is there already (it is never
    pulled), or `rootfs:/path` (podman). `uid` is who the command is; we must be root, or it must be us.
    """

    def __init__(
        self,
        runtime_home: Path,
        path: str,
        read_only: Sequence[Path],
        *,
        engine: Sequence[str],
        image: str,
        uid: int,
    ) -> None:
        self._engine = tuple(engine)
        self._path = path
        self._read_only = tuple(read_only)
        self._image = image
        self._uid = uid
        # The engine's client is a program of this machine like any other: bounded, drained, ended with what it started.
        self._client = PlainSandbox(runtime_home, os.environ.get("PATH", os.defpath))

    @property
    def description(self) -> str:
        return (
            f"container by {Path(self._engine[0]).name} ({self._image}, no network, no capabilities, uid {self._uid})"
        )

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
        """As the protocol says. Raises: `SandboxError` when the engine cannot run a container at all."""
        if spec.overlays:
            raise SandboxError(
                f"action {spec.action_id!r}: this backend mounts no overlays; expected a full copy as candidate"
            )
        if not spec.cwd.is_dir():
            raise SandboxError(
                f"working directory {str(spec.cwd)!r} of action {spec.action_id!r} does not exist; expected a folder"
            )
        hand_over(dict.fromkeys((*spec.writable, *(b.source for b in spec.binds if b.writable))), self._uid)
        name = f"loopwright-{secrets.token_hex(8)}"
        whole = False
        try:
            done = await self._client.run(
                dataclasses.replace(
                    spec,
                    argv=(
                        *self._engine,
                        "run",
                        *self._options(spec, name),
                        *_image_words(self._image),
                        *_AS_CHILD,
                        *spec.argv,
                    ),
                    env=_client_env(),
                    # The command's own limits are given to the engine; its client needs none of them.
                    limits=dataclasses.replace(spec.limits, cpu_s=None, memory_bytes=None, file_bytes=1 << 40),
                    writable=(),
                    readable=(),
                    binds=(),
                )
            )
            whole = done.status == "exited"
        finally:
            if not whole:
                # The container is the engine's child, not ours: it lives on when its client is ended.
                await asyncio.shield(self._remove([name]))
        return self._result(spec, done)

    def kill_orphans(self, run_id: str) -> int:
        """End the containers of a run, and what is left of the engine's clients; how many there were. Blocks."""
        listed = self._ask_now("ps", "--all", "--quiet", "--filter", f"label={_LABEL}={_label(run_id)}")
        names = listed.decode("ascii", "replace").split()
        if names:
            self._ask_now("rm", "--force", *self._at_once, *names)
        return len(names) + self._client.kill_orphans(run_id)

    def release(self, folder: Path) -> None:
        """Nothing is mounted between two commands."""

    def close(self) -> None:
        self._client.close()

    async def _remove(self, names: Sequence[str]) -> None:
        await asyncio.to_thread(self._ask_now, "rm", "--force", *self._at_once, *names)

    @property
    def _at_once(self) -> tuple[str, ...]:
        """docker kills at once; podman waits ten seconds for a polite end unless it is told not to."""
        return () if self._docker else ("--time", "0")

    def _ask_now(self, *words: str) -> bytes:
        """What the engine answers; empty when it does not. It is asked while something else went wrong already."""
        env = {"PATH": os.environ.get("PATH", os.defpath), **_client_env()}
        try:
            done = subprocess.run(
                [*self._engine, *words],
                env=env,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
                timeout=_START_S,
            )
        except (OSError, subprocess.TimeoutExpired):
            return b""
        return done.stdout

    def _result(self, spec: ExecSpec, done: ExecResult) -> ExecResult:
        engine = Path(self._engine[0]).name
        if done.status == "not_found":
            raise SandboxError(
                f"container engine {engine!r} is not found; install it, or choose another backend with LOOPWRIGHT_SANDBOX"
            )
        if done.status != "exited":
            return done
        said = done.stderr.decode("utf-8", "replace").strip()
        if done.returncode == _ENGINE_FAILED or (done.returncode == _NOT_EXECUTABLE and "OCI" in said):
            raise SandboxError(
                f"container engine {engine!r} cannot run {self._image!r}: {said[-300:]}; "
                f"try `{' '.join(self._engine)} run --rm --network none {self._image} true` by hand"
            )
        if done.returncode == _NOT_FOUND and ("not found" in said or "no such file" in said.lower()):
            return dataclasses.replace(done, status="not_found")
        if done.returncode > 128:
            return dataclasses.replace(done, returncode=128 - done.returncode)
        return done

    def _options(self, spec: ExecSpec, name: str) -> Iterator[str]:
        limits = spec.limits
        yield from (
            "--rm",
            "--interactive",
            "--name",
            name,
            "--label",
            f"{_LABEL}={_label(spec.action_id.split('/')[0])}",
        )
        yield from ("--network", "none", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
        yield from ("--ipc", "private", "--pull", "never")
        yield from ("--user", f"{self._uid}:{self._uid}", "--workdir", str(spec.cwd), "--hostname", "sandbox")
        yield from ("--memory", str(limits.memory_bytes or DEFAULT_MEMORY_BYTES))
        yield from ("--pids-limit", str(limits.processes or DEFAULT_PROCESSES))
        yield from ("--ulimit", "core=0:0", "--ulimit", f"nofile={_OPEN_FILES}:{_OPEN_FILES}")
        yield from ("--ulimit", f"nproc={DEFAULT_PROCESSES}:{DEFAULT_PROCESSES}")
        yield from ("--ulimit", f"fsize={limits.file_bytes}:{limits.file_bytes}")
        if limits.cpu_s is not None:
            yield from ("--ulimit", f"cpu={limits.cpu_s}:{limits.cpu_s}")
        yield from ("--shm-size", str(_SHM_BYTES), "--tmpfs", f"/tmp:size={_TMP_BYTES},mode=1777")  # noqa: S108
        for folder in dict.fromkeys((*self._read_only, *spec.readable)):
            yield from ("--volume", f"{folder}:{folder}:ro")
        for folder in dict.fromkeys((spec.cwd, *spec.writable)):
            yield from ("--volume", f"{folder}:{folder}:{'rw' if folder in spec.writable else 'ro'}")
        for bind in spec.binds:
            yield from ("--volume", f"{bind.source}:{bind.target}:{'rw' if bind.writable else 'ro'}")
        for key, value in self._environment(spec).items():
            yield from ("--env", f"{key}={value}")

    @property
    def _docker(self) -> bool:
        return Path(self._engine[0]).name == "docker"

    def _environment(self, spec: ExecSpec) -> dict[str, str]:
        return {
            "PATH": self._path,
            "HOME": "/tmp",  # noqa: S108 - a tmpfs of this container alone
            "TMPDIR": "/tmp",  # noqa: S108
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            "PYTHONDONTWRITEBYTECODE": "1",
            **spec.env,
            "LOOPWRIGHT_ACTION": spec.action_id,
        }


def _image_words(image: str) -> tuple[str, ...]:
    return ("--rootfs", image.removeprefix("rootfs:")) if image.startswith("rootfs:") else (image,)


def _client_env() -> dict[str, str]:
    """What an engine's client needs to find its engine, and nothing else of ours."""
    wanted = ("HOME", "XDG_RUNTIME_DIR", "DOCKER_HOST", "CONTAINER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG")
    return {name: os.environ[name] for name in wanted if name in os.environ}


def _label(run_id: str) -> str:
    return _NAME.sub("_", run_id)
