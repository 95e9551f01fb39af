"""One warm process in the sandbox, with a checkout of its own, and the socket by which it is asked."""

import asyncio
import base64
import contextlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from loopwright.kernel.values import Change
from loopwright.suite.reading import answer_folder
from loopwright.suite.warm.child.start import PROGRAM, message
from loopwright.suite.warm.runner import Runner, child_env
from loopwright.workspace.command import command_in
from loopwright.workspace.workshop import Workshop

__all__ = ["Answer", "Link", "LinkLost", "Start", "Told"]

_LINE_BYTES = 64 << 20
_HELLO_S = 60.0
_DAY_S = 86_400.0
_END_S = 1.0


class LinkLost(Exception):
    """The warm process ended, or does not answer; the message says how."""


class Told(msgspec.Struct, frozen=True):
    """One test, as the child names it."""

    id: str
    status: str
    message: str = ""


class Answer(msgspec.Struct, frozen=True):
    """One record of `child/serve.py`; which fields are there says what kind it is."""

    cold: str | None = None
    refusal: str | None = None
    tests: int = 0
    ordered: bool = False
    candidate_s: float = 0.0
    end: str = ""
    mode: str = ""
    why: str = ""
    cases: tuple[Told, ...] = ()
    fixed: tuple[str, ...] = ()
    ran: int = 0
    cpu_ms: int = 0
    spoilt: str | None = None


@dataclass(frozen=True, slots=True)
class Start:
    """What a warm process must know. `head_s`: how long the head's cold run took; `candidate_s`: how long a candidate's may take."""

    runner: Runner
    tree: str
    must: Sequence[str]
    wanted: Sequence[str]
    head_s: float
    candidate_s: float
    memory_bytes: int


class Link:
    """Open with `open`, close always. One question at a time."""

    def __init__(self, start: Start, shop: Workshop) -> None:
        self._start = start
        self._shop = shop
        self.candidate_s = start.candidate_s
        """As the warm process sees it: longer, where it takes longer for all of the head than the cold run did."""
        self._stack = contextlib.AsyncExitStack()
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def open(self, within_s: float) -> Answer:
        """Start it and let it collect the head's tests; what it says of them. Raises: `LinkLost`, `SandboxError`."""
        start, shop = self._start, self._shop
        nonce = secrets.token_hex(12)
        folder = self._stack.enter_context(answer_folder("warm"))
        folder.chmod(0o755)  # whoever the sandbox runs as connects
        path = folder / "s"
        connected: asyncio.Future[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = (
            asyncio.get_running_loop().create_future()
        )

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if connected.done():
                writer.close()
            else:
                connected.set_result((reader, writer))

        try:
            server = await asyncio.start_unix_server(accept, path, limit=_LINE_BYTES)
        except OSError as error:
            raise LinkLost(f"no socket can be made: {error}") from None
        path.chmod(0o666)
        candidate = self._stack.enter_context(shop.workspace.checkout(start.tree, "warm"))
        settings = {
            "socket": str(path),
            "nonce": nonce,
            "args": start.runner.args,
            "must": start.must,
            "wanted": start.wanted,
            "head_s": start.head_s,
            "candidate_s": start.candidate_s,
            "memory_bytes": start.memory_bytes,
            "isolated": shop.sandbox.isolated,
        }
        spec = command_in(
            candidate,
            (*start.runner.python, "-c", PROGRAM),
            timeout_s=_DAY_S,
            action_id=f"{shop.run_id}/{shop.action_id}",
            env=child_env(candidate, start.runner),
            stdin=message("serve", settings),
            readable=(folder,),
        )
        self._ends = asyncio.create_task(shop.sandbox.run(spec))
        self._stack.push_async_callback(self._stop)
        try:
            waited: set[asyncio.Future[Any]] = {self._ends, connected}
            await asyncio.wait(waited, timeout=_HELLO_S, return_when=asyncio.FIRST_COMPLETED)
            if not connected.done():
                raise LinkLost(self._said())
            self._reader, self._writer = connected.result()
        finally:
            # One connection is all there is: nothing that the project starts can ask or answer here.
            server.close()
            connected.cancel()
        hello = await self._line(_HELLO_S)
        if hello != msgspec.json.encode({"hello": nonce}):
            raise LinkLost("something else connected to it")
        answer = await self._answer(within_s)
        self.candidate_s = max(self.candidate_s, answer.candidate_s)
        return answer

    async def ask(self, changes: Sequence[Change], *, progress: bool, within_s: float) -> Answer:
        """Judge a candidate. Raises: `LinkLost`."""
        assert self._writer is not None
        rows = [
            {
                "path": change.path,
                "data": None
                if change.content is None
                else base64.b64encode(self._shop.blobs.get(change.content)).decode(),
                "executable": change.mode == "100755",
                "link": change.mode == "120000",
            }
            for change in changes
        ]
        try:
            self._writer.write(msgspec.json.encode({"changes": rows, "progress": progress}) + b"\n")
            await self._writer.drain()
        except OSError:
            raise LinkLost(self._said()) from None
        return await self._answer(within_s)

    async def close(self) -> None:
        await self._stack.aclose()

    async def _answer(self, within_s: float) -> Answer:
        try:
            return msgspec.json.decode(await self._line(within_s), type=Answer)
        except msgspec.DecodeError as error:
            raise LinkLost(f"it answers what is no answer: {error}") from None

    async def _line(self, within_s: float) -> bytes:
        assert self._reader is not None
        try:
            line = await asyncio.wait_for(self._reader.readuntil(b"\n"), within_s)
        except TimeoutError:
            raise LinkLost(f"it gave no answer within {within_s:.0f} s") from None
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            raise LinkLost(self._said()) from None
        # The child writes with a space behind `:`; compared and decoded, it is one form.
        return msgspec.json.encode(msgspec.json.decode(line))

    def _said(self) -> str:
        if not self._ends.done() or self._ends.cancelled():
            return "the warm process ended"
        if self._ends.exception() is not None:
            return f"the warm process could not be started: {self._ends.exception()}"
        result = self._ends.result()
        last = result.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        return f"the warm process ended ({result.status} {result.returncode}{': ' + last[0][:200] if last else ''})"

    async def _stop(self) -> None:
        if self._writer is not None:
            self._writer.close()
            # It ends by itself when the socket does, unless it is in the middle of a candidate.
            await asyncio.wait({self._ends}, timeout=_END_S)
        self._ends.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await self._ends
