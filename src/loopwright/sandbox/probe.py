"""Is the sandbox really there? The production command line is run with canaries, from both sides. That a program exists proves nothing."""

import json
import os
import secrets
import signal
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Literal

from loopwright.errors import SandboxError
from loopwright.sandbox.bwrap import interpreter
from loopwright.sandbox.handover import hand_over
from loopwright.sandbox.processes import pids
from loopwright.sandbox.protocol import ExecSpec, Overlay, Sandbox
from loopwright.sandbox.remove import remove_tree

__all__ = ["ProbeReport", "ProbeStep", "probe"]

_TIMEOUT_S = 20.0
_FIXES = {
    "start": "do what the message says",
    "write outside": "report it: commands can change files of this machine; use another sandbox until then",
    "read secret": "report it: commands can read files of this machine; use another sandbox until then",
    "environment": "report it: commands can read our environment; start us without secrets in it until then",
    "tcp": "check that network namespaces work: `unshare -rn true`",
    "udp": "check that network namespaces work: `unshare -rn true`",
    "rights": "start us as an ordinary user, or set LOOPWRIGHT_SANDBOX_UID to a user number without an account",
    "system calls": "check that the kernel has CONFIG_SECCOMP_FILTER",
    "write inside": "put the runtime folder on a plain disk or a tmpfs, not on an overlay or a network file system",
    "overlay": "put the runtime folder on a plain disk or a tmpfs, not on an overlay or a network file system",
    "daemon": "report it: commands can leave processes behind; check that PID namespaces work: `unshare -rpf true`",
}


@dataclass(frozen=True, slots=True)
class ProbeStep:
    """`detail` is what happened and `fix` what to do, both empty where `ok`."""

    name: str
    ok: bool
    detail: str = ""
    fix: str = ""


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """`level`: `full`, `reduced` (said so by the backend itself), or `none`, also when a step failed."""

    ok: bool
    backend: str
    level: Literal["full", "reduced", "none"]
    steps: tuple[ProbeStep, ...]

    @property
    def failed(self) -> tuple[ProbeStep, ...]:
        return tuple(step for step in self.steps if not step.ok)


async def probe(sandbox: Sandbox, scratch: Path) -> ProbeReport:
    """Try `sandbox`; below `scratch`, a folder of ours, a folder is made and removed. Takes some tenths of a second."""
    token = secrets.token_hex(8)
    here = scratch / f"probe-{token}"
    try:
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            for listener in (tcp, udp):
                listener.bind(("127.0.0.1", 0))
                listener.setblocking(False)
            tcp.listen()
            found = await _run(sandbox, here, token, tcp.getsockname()[1], udp.getsockname()[1])
            if _heard(tcp):
                found["tcp"] = "a connection reached a listener of this machine"
            if _heard(udp):
                found["udp"] = "a datagram reached a listener of this machine"
    except SandboxError as error:
        found = {"start": str(error)}
    except OSError as error:
        found = {"start": f"the probe cannot be set up in {str(scratch)!r}: {error}"}
    finally:
        remove_tree(here)
    steps = tuple(ProbeStep(name, not detail, detail, _FIXES[name] if detail else "") for name, detail in found.items())
    ok = all(step.ok for step in steps)
    level: Literal["full", "reduced", "none"] = "full"
    if not ok or not sandbox.isolated:
        level = "none"
    elif sandbox.description.startswith("reduced"):
        level = "reduced"
    return ProbeReport(ok, sandbox.description, level, steps)


async def _run(sandbox: Sandbox, here: Path, token: str, tcp: int, udp: int) -> dict[str, str]:
    """The name of each step to what went wrong."""
    private, lower, upper, work, tree = (here / name for name in ("private", "lower", "upper", "work", "tree"))
    for folder in (here, private, lower, upper, work, tree):
        folder.mkdir(parents=True, mode=0o755)
    secret, outside = private / "secret", private / "written"
    secret.write_text(token)
    overlays = (Overlay(tree, lower, upper, work),) if sandbox.overlays else ()
    (lower / "kept").write_text("below")
    hand_over((lower, tree, upper, work), sandbox.uid)
    before = pids()
    given = {
        "outside": str(outside),
        "secret": str(secret),
        "tcp": tcp,
        "udp": udp,
        "uid": sandbox.uid,
        "inside": str(tree / "kept"),
        "daemon": token,
    }
    source = resources.files("loopwright.sandbox").joinpath("canaries.py").read_text(encoding="utf-8")
    program, _ = interpreter()
    done = await sandbox.run(
        ExecSpec(
            argv=(program, "-I", "-S", "-c", source, json.dumps(given)),
            cwd=tree,
            timeout_s=_TIMEOUT_S,
            action_id=f"probe-{token}/1",
            writable=() if overlays else (tree,),
            overlays=overlays,
        )
    )
    found = {"start": ""}
    try:
        found |= _believed(json.loads(done.stdout))
    except ValueError:
        said = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        return {"start": f"the canaries did not run: {done.status}, code {done.returncode}: {said}"}
    if outside.exists():
        found["write outside"] = "a file was made outside"
    if overlays:
        changed = (upper / "kept").is_file() and (lower / "kept").read_text() == "below"
        found["overlay"] = "" if changed else "what was written did not land in the upper layer alone"
    living = [pid for pid in pids() - before if _is_called(pid, token)]
    for pid in living:
        os.kill(pid, signal.SIGKILL)
    found["daemon"] = f"process {living[0]} is still there" if living else ""
    return found


def _believed(said: Mapping[str, object]) -> dict[str, str]:
    return {name: str(detail) for name, detail in said.items() if name in _FIXES}


def _heard(listener: socket.socket) -> bool:
    try:
        if listener.type == socket.SOCK_STREAM:
            listener.accept()[0].close()
        else:
            listener.recv(100)
    except BlockingIOError:
        return False
    return True


def _is_called(pid: int, name: str) -> bool:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0] == os.fsencode(name)
    except OSError:
        return False
