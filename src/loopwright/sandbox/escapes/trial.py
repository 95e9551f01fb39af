"""Lets the probes off, first without a sandbox and then in one, and says which got through."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from typing import Final, Literal

from loopwright.errors import SandboxError
from loopwright.kernel.values import Value
from loopwright.sandbox.escapes.catalogue import Probe, program
from loopwright.sandbox.escapes.world import World
from loopwright.sandbox.protocol import ExecSpec, Limits, Sandbox

__all__ = ["LIMITS", "Trial", "try_probes"]

_MEBIBYTE: Final = 1 << 20
LIMITS: Final = Limits(cpu_s=1, file_bytes=16 * _MEBIBYTE, memory_bytes=192 * _MEBIBYTE)
"""What the sandboxed probes are held to; without a sandbox they use up what `_BOMBS` says."""
_BOMBS: Final = {"memory_bytes": 400 * _MEBIBYTE, "file_bytes": 64 * _MEBIBYTE, "cpu_s": 1.8, "processes": 1200}
_TIMEOUT_S: Final = 30.0


class Trial(Value, frozen=True):
    """`open` is what happened without a sandbox, `inside` in it: what was got, or `None` when the probe was held.

    `verdict`: `held`, `escaped`, or `not_possible` where the probe gets nowhere on this machine even without a sandbox, so that holding
    it says nothing.
    """

    group: str
    name: str
    verdict: Literal["held", "escaped", "not_possible"]
    open: str | None
    inside: str | None
    why: str


async def try_probes(
    sandbox: Sandbox,
    probes: Iterable[Probe],
    *,
    python: str = sys.executable,
    progress: Callable[[str], None] = lambda line: None,
) -> tuple[Trial, ...]:
    """Each probe in a world of its own, both times. Raises: `SandboxError` when the sandbox cannot run anything at all."""
    return tuple([await _try(sandbox, probe, python, progress) for probe in probes])


async def _try(sandbox: Sandbox, probe: Probe, python: str, progress: Callable[[str], None]) -> Trial:
    progress(f"{probe.group}: {probe.name}")
    with World(sandbox.uid, _BOMBS) as world:
        opened, _ = await asyncio.to_thread(_unsandboxed, world, probe, python)
    with World(sandbox.uid, _BOMBS) as world:
        inside, why = await _sandboxed(sandbox, world, probe, python)
    # Seen to work inside is an escape, whatever became of it outside.
    verdict: Literal["held", "escaped", "not_possible"] = (
        "escaped" if inside is not None else "held" if opened is not None else "not_possible"
    )
    return Trial(probe.group, probe.name, verdict, opened, inside, why)


def _unsandboxed(world: World, probe: Probe, python: str) -> tuple[str | None, str]:
    """As people run agents today: a plain child with our rights and our environment."""
    process = subprocess.Popen(
        [python, "-I", "-c", program(probe.group), probe.name, world.describe()],
        cwd=world.candidate,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        close_fds=False,
        start_new_session=True,
    )
    try:
        out, _ = process.communicate(timeout=_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        out = b""
    finally:
        with contextlib.suppress(ProcessLookupError):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
    return _result(out, world)


async def _sandboxed(sandbox: Sandbox, world: World, probe: Probe, python: str) -> tuple[str | None, str]:
    spec = ExecSpec(
        argv=(python, "-I", "-c", program(probe.group), probe.name, world.describe()),
        cwd=world.candidate,
        timeout_s=_TIMEOUT_S,
        action_id=f"drill-{world.mark}/a1",
        writable=(world.candidate,),
        readable=(world.readable,),
        limits=LIMITS,
    )
    done = await sandbox.run(spec)
    if done.status == "not_found":
        raise SandboxError(
            f"probe {probe.name!r}: the interpreter {python!r} is not found in {sandbox.description}; expected it visible: "
            f"{done.stderr.decode('utf-8', 'replace').strip()[:200]}"
        )
    got, why = await asyncio.to_thread(_result, done.stdout, world)
    if not why and got is None and (done.status != "exited" or done.returncode != 0):
        why = f"{done.status} with exit status {done.returncode}"
    return got, why


def _result(out: bytes, world: World) -> tuple[str | None, str]:
    """What the probe says it got, or else what is seen from outside."""
    line = next((row for row in reversed(out.splitlines()) if row.startswith(b"@@")), b"")
    said: dict[str, str | None] = {}
    with contextlib.suppress(ValueError):
        said = json.loads(line[2:]) if line else {}
    got = said.get("got") or world.happened()
    return got, said.get("why") or ""
