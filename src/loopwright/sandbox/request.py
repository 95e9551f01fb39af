"""One command as the first process inside understands it, and its answer; see `inside_server`."""

import asyncio
import marshal
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from loopwright.errors import SandboxError
from loopwright.sandbox.launch import Lifeline
from loopwright.sandbox.mounts import HOME, TMPDIR
from loopwright.sandbox.protocol import ExecSpec

__all__ = ["Answer", "first_of", "read_answer", "send_request"]

_ACTION = "LOOPWRIGHT_ACTION"
_OPEN_FILES = 4096
_INLINE_BYTES = 60_000
_ANSWER_BYTES = 100
_MARSHAL_VERSION = 4


@dataclass(frozen=True, slots=True)
class Answer:
    """`number` is the exit code, the signal, or the errno of the step that failed. `clean`: the sandbox may be used again."""

    how: str
    number: int
    clean: bool


def send_request(
    server: socket.socket, spec: ExecSpec, outputs: list[int], *, path: str, uid: int, processes: int
) -> None:
    """Start the command of `spec`, writing to the two `outputs`. An end of its sandbox meanwhile is not noticed here."""
    environment = _environment(spec, path)
    limits = spec.limits
    payload = marshal.dumps(
        (
            [os.fsencode(word) for word in spec.argv],
            {os.fsencode(name): os.fsencode(value) for name, value in environment.items()},
            os.fsencode(spec.cwd),
            (limits.cpu_s, limits.file_bytes, limits.processes or processes, _OPEN_FILES),
        ),
        _MARSHAL_VERSION,
    )
    fds = [_stdin(spec.stdin), *outputs]
    own = [fds[0]]
    try:
        if os.getuid() != uid:
            # Whoever opens /dev/stderr anew is asked who he is.
            for fd in outputs:
                os.fchown(fd, uid, uid)
            if spec.stdin:
                os.fchown(fds[0], uid, uid)
        if len(payload) > _INLINE_BYTES:
            own.append(_memory_file(payload))
            fds, payload = [*fds, own[1]], b"long"
        try:
            socket.send_fds(server, [payload], fds)
        except (BrokenPipeError, ConnectionResetError):
            return  # its lifeline says what happened
        except OSError as error:
            raise SandboxError(
                f"command {spec.argv[0]!r} cannot be given to its sandbox: {error}; try again"
            ) from error
    finally:
        for fd in own:
            os.close(fd)


def read_answer(server: socket.socket) -> Answer | None:
    """`None` when there is none, or none that can be believed: whoever answers has lived beside the command."""
    try:
        words = server.recv(_ANSWER_BYTES, socket.MSG_DONTWAIT).split()
        how, number, clean = words[0].decode("ascii"), int(words[1]), words[2] == b"1"
    except (OSError, ValueError, IndexError):
        return None
    return Answer(how, number, clean) if how in ("exit", "signal", "chdir", "limit", "exec") else None


async def first_of(
    server: socket.socket, lifeline: Lifeline, flooded: asyncio.Event, timeout_s: float
) -> Literal["answered", "ended", "timeout", "output_limit"]:
    """What comes first. A command that ended in the very moment of its time-out has ended."""
    loop = asyncio.get_running_loop()
    answered, ended = asyncio.Event(), asyncio.Event()
    loop.add_reader(server, answered.set)
    loop.add_reader(lifeline, ended.set)
    waiting = [asyncio.ensure_future(event.wait()) for event in (answered, ended, flooded)]
    try:
        await asyncio.wait(waiting, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        loop.remove_reader(server)
        loop.remove_reader(lifeline)
        for each in waiting:
            each.cancel()
    if answered.is_set():
        return "answered"
    if ended.is_set():
        return "ended"
    return "output_limit" if flooded.is_set() else "timeout"


def _environment(spec: ExecSpec, path: str) -> Mapping[str, str]:
    """All of it: nothing of ours is inherited, so no secret of ours can be read."""
    return {
        "PATH": path,
        "HOME": HOME,
        "TMPDIR": TMPDIR,
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONDONTWRITEBYTECODE": "1",
        "GIT_CEILING_DIRECTORIES": ":".join(str(place.parent) for place in (spec.cwd, *spec.writable)),
        **spec.env,
        _ACTION: spec.action_id,
    }


def _stdin(data: bytes) -> int:
    """A file, not a pipe: a process that never reads it blocks nobody."""
    return _memory_file(data) if data else os.open(os.devnull, os.O_RDONLY)


def _memory_file(data: bytes) -> int:
    fd = os.memfd_create("loopwright")
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
    os.lseek(fd, 0, os.SEEK_SET)
    return fd
