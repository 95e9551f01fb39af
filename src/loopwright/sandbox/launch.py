"""Our side of the launcher: it is started when first needed and ends with us, and each sandbox that it starts has a `Lifeline`."""

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import loopwright
from loopwright.errors import SandboxError
from loopwright.sandbox.diagnosis import Failure, explain

__all__ = ["Ended", "Launcher", "Lifeline", "StageStep"]

StageStep = tuple[str, ...]
"""As `stage0.enter.Step`."""

_START_S = 20.0
_END_S = 10.0
_INLINE_BYTES = 60_000
_CODE = "import sys; sys.path.append({root!r}); from loopwright.sandbox.stage0.start import start; start()"


@dataclass(frozen=True, slots=True)
class Ended:
    """How a sandbox ended: `killed` is why we or the launcher did it (`asked`, `memory`, `disk`), else `failure` says what went wrong."""

    killed: str | None
    failure: Failure | None


class Lifeline:
    """One sandbox as the launcher sees it. Dropping it kills the sandbox."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._ended: Ended | None = None
        self._asked = False
        channel.setblocking(False)

    def fileno(self) -> int:
        return self._channel.fileno()

    def watch(self, memory_bytes: int, disk_bytes: int) -> None:
        """A command begins; 0 is not limited."""
        self._send(b"W %d %d" % (memory_bytes, disk_bytes))

    def unwatch(self) -> None:
        self._send(b"I")

    def kill(self) -> None:
        if not self._asked:
            self._asked = True
            self._send(b"K")

    def ended(self) -> Ended | None:
        """`None` while it lives. Does not wait."""
        if self._ended is None:
            try:
                data = self._channel.recv(1 << 16)
            except BlockingIOError:
                return None
            except OSError:
                data = b""
            self._ended = _read(data)
            self._channel.close()
        return self._ended

    async def wait(self) -> Ended:
        """Until no process of it is left; a cancelled task waits too, for it must not go on before."""
        cancelled: asyncio.CancelledError | None = None
        loop = asyncio.get_running_loop()
        while (ended := self.ended()) is None:
            readable = asyncio.Event()
            loop.add_reader(self._channel, readable.set)
            try:
                await readable.wait()
            except asyncio.CancelledError as error:
                cancelled = error
            finally:
                loop.remove_reader(self._channel)
        if cancelled is not None:
            raise cancelled
        return ended

    def end_now(self) -> None:
        """Kill it and wait, where there is no event loop."""
        self.kill()
        if self._ended is None:
            self._channel.settimeout(_END_S)
            with contextlib.suppress(OSError):
                self.ended()
            self._channel.close()

    def _send(self, message: bytes) -> None:
        # Who is gone needs no orders; that he is gone is what `ended` says.
        with contextlib.suppress(OSError):
            self._channel.send(message)


class Launcher:
    """`drop_to` is the user to become (`None` = we are an ordinary one); `staging` a folder of ours for its mounts."""

    def __init__(
        self,
        staging: Path,
        static: Sequence[StageStep],
        drop_to: int | None,
        seccomp: bytes,
        etc_names: Sequence[str],
        etc_files: Mapping[str, str],
    ) -> None:
        self._staging = staging
        self._first = json.dumps(
            {
                "staging": str(staging),
                "static": static,
                "drop_to": drop_to,
                "filter": seccomp.hex(),
                "etc_names": etc_names,
                "etc_files": etc_files,
            }
        ).encode()
        self._requests: socket.socket | None = None
        self._end: weakref.finalize[[subprocess.Popen[bytes], socket.socket], Launcher] | None = None

    def start_sandbox(
        self, argv: Sequence[str], steps: Sequence[StageStep], mark: str, roots: Sequence[str], server: socket.socket
    ) -> Lifeline:
        """`server` goes to the first process inside and is closed here. `roots` are watched for what is written there.

        Raises: `SandboxError` when no launcher can be started.
        """
        message = json.dumps({"argv": argv, "steps": steps, "mark": mark, "roots": roots}).encode()
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        fds = [its.fileno(), server.fileno()]
        long = -1
        try:
            if len(message) > _INLINE_BYTES:
                long = os.memfd_create("request")
                os.write(long, message)
                fds, message = [*fds, long], b"long"
            for last_try in (False, True):
                requests = self._started()
                try:
                    socket.send_fds(requests, [message], fds)
                    break
                except OSError as error:
                    self.close()
                    if last_try:
                        raise SandboxError(f"bubblewrap: its launcher does not answer: {error}; try again") from error
        except BaseException:
            ours.close()
            raise
        finally:
            its.close()
            server.close()
            if long >= 0:
                os.close(long)
        return Lifeline(ours)

    @property
    def pid(self) -> int:
        """0 while it does not run."""
        detail = self._end.peek() if self._end is not None else None
        return detail[2][0].pid if detail is not None else 0

    def close(self) -> None:
        """End it and what it started; it is started again when needed."""
        end, self._end, self._requests = self._end, None, None
        if end is not None:
            end()

    def _started(self) -> socket.socket:
        if self._requests is not None:
            return self._requests
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        root = str(Path(loopwright.__file__).parent.parent)
        try:
            process = subprocess.Popen(
                # Never `preexec_fn` and never a fork of ours: a large parent would pay for it with each command.
                [sys.executable, "-I", "-S", "-c", _CODE.format(root=root)],
                stdin=its.fileno(),
                stdout=subprocess.DEVNULL,
                env={},
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            raise SandboxError(
                f"bubblewrap: step start launcher failed: {error}; expected a python to run it"
            ) from error
        finally:
            its.close()
        self._requests = ours
        self._end = weakref.finalize(self, _end, process, ours)
        ours.settimeout(_START_S)
        try:
            ours.send(self._first)
            said = ours.recv(1 << 16)
        except OSError as error:
            self.close()
            raise SandboxError(f"bubblewrap: step start launcher failed: {error}; try again") from error
        failed = json.loads(said) if said else {"step": "start launcher", "errno": 0, "subject": ""}
        if failed:
            self.close()
            raise SandboxError(explain(Failure(**failed)))
        return ours


def _end(process: "subprocess.Popen[bytes]", requests: socket.socket) -> None:
    requests.close()
    try:
        process.wait(_END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _read(data: bytes) -> Ended:
    if not data:
        return Ended(None, Failure("launcher", 0, "its launcher ended"))
    said = json.loads(data)
    if said["stage"] is not None:
        return Ended(said["killed"], Failure(**said["stage"]))
    text = " ".join(said["said"].split())
    return Ended(said["killed"], Failure("bwrap", 0, text or f"ended with wait status {said['status']}"))
