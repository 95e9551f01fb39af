"""Messages between the SDK's session and a server: read strictly, bounded in every direction, the interesting raw answers kept.

The server is an attacker: a line without end, a flood, bytes that are no JSON and answers nobody asked for all end the connection or
are dropped; none of them may cost memory without bound or stall the reader.
"""

import asyncio
import logging
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

from loopwright.errors import ActionError, UsageError
from loopwright.policy.values import Json
from loopwright.tools.approvals.safe_text import shown
from loopwright.tools.canonical import parse

if TYPE_CHECKING:
    from mcp.shared.message import SessionMessage

__all__ = ["Incoming", "Outgoing", "Recorder", "quiet_sdk"]

_KEPT = frozenset({"initialize", "server/discover", "tools/list", "prompts/list"})
_CHANGES = frozenset({"notifications/tools/list_changed", "notifications/prompts/list_changed"})
_BETWEEN_REQUESTS_BYTES = 32 << 20
_BETWEEN_REQUESTS_MESSAGES = 5_000
_GARBAGE_LINES = 16


class Recorder:
    """Keeps the raw result of each request in `_KEPT`, exactly as it lay on the wire, until it is taken; why a connection ended; and
    whether the server said that its lists changed."""

    def __init__(self) -> None:
        self._asked: dict[int | str, str] = {}
        self._answers: dict[str, Json] = {}
        self.fault = ""
        self.changed = False
        self._bytes = 0
        self._messages = 0

    def asked(self, request_id: int | str, method: str) -> None:
        self._bytes = self._messages = 0
        if method in _KEPT:
            self._asked[request_id] = method

    def answered(self, raw: Json, size_bytes: int) -> None:
        """Raises: `ActionError` when more came since our last request than any honest server sends."""
        self._bytes += size_bytes
        self._messages += 1
        if self._bytes > _BETWEEN_REQUESTS_BYTES or self._messages > _BETWEEN_REQUESTS_MESSAGES:
            raise ActionError(f"it flooded us: {self._messages} messages, {self._bytes} bytes without being asked")
        if isinstance(raw, dict) and raw.get("method") in _CHANGES:
            # Noted here, in the order of the wire: the SDK's own handler runs beside the answer that came behind it.
            self.changed = True
        if isinstance(raw, dict) and "result" in raw and isinstance(raw.get("id"), int | str):
            method = self._asked.pop(raw["id"], None)  # type: ignore[arg-type]
            if method is not None:
                self._answers[method] = raw["result"]

    def take(self, method: str) -> Json:
        """The raw result of the last request of `method`. Raises: `ActionError` when none came under its own id."""
        try:
            return self._answers.pop(method)
        except KeyError:
            raise ActionError(
                f"no raw answer to {method!r} was seen; expected one under the request's own id"
            ) from None


def quiet_sdk() -> None:
    """The SDK logs what a server sends wrong, with its text: a hostile server would write to our user's terminal."""
    for name in ("client", "mcp"):
        logging.getLogger(name).propagate = False
        if not logging.getLogger(name).handlers:
            logging.getLogger(name).addHandler(logging.NullHandler())


class _Stream:
    async def aclose(self) -> None:
        return None

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        await self.aclose()
        return None


class Incoming(_Stream):
    """The SDK's read stream over a server's standard output. Ends with the connection, or with the first fault; see `Recorder.fault`."""

    def __init__(self, reader: asyncio.StreamReader, recorder: Recorder, ended: Callable[[], None]) -> None:
        self._reader = reader
        self._recorder = recorder
        self._ended = ended
        self._garbage = 0

    async def receive(self) -> "SessionMessage | Exception":
        from anyio import EndOfStream

        try:
            return await self.__anext__()
        except StopAsyncIteration:
            raise EndOfStream from None

    def __aiter__(self) -> "Incoming":
        return self

    async def __aenter__(self) -> "Incoming":
        return self

    async def __anext__(self) -> "SessionMessage | Exception":
        try:
            while True:
                message = self._message(await self._line())
                if message is not None:
                    return message
        except (ActionError, asyncio.IncompleteReadError, ConnectionError, StopAsyncIteration) as error:
            if isinstance(error, ActionError):
                self._recorder.fault = str(error)
            self._ended()
            raise StopAsyncIteration from None

    async def _line(self) -> bytes:
        try:
            return await self._reader.readuntil(b"\n")
        except asyncio.LimitOverrunError as error:
            raise ActionError(f"it sent a line of more than {error.consumed} bytes") from None

    def _message(self, line: bytes) -> "SessionMessage | None":
        from mcp.shared.message import SessionMessage
        from mcp_types import jsonrpc_message_adapter
        from pydantic import ValidationError

        if not line.strip():
            return None
        try:
            raw = parse(line, what="line")
            parsed = jsonrpc_message_adapter.validate_python(raw, by_name=False)
        except (UsageError, ValidationError) as error:
            self._recorder.answered(None, len(line))
            self._garbage += 1
            if self._garbage > _GARBAGE_LINES:
                raise ActionError(
                    f"it sent more than {_GARBAGE_LINES} lines that are no MCP: {shown(str(error))}"
                ) from None
            return None
        self._recorder.answered(raw, len(line))
        return SessionMessage(parsed)


class Outgoing(_Stream):
    """The SDK's write stream over a server's standard input."""

    def __init__(self, writer: asyncio.StreamWriter, recorder: Recorder) -> None:
        self._writer = writer
        self._recorder = recorder

    async def __aenter__(self) -> "Outgoing":
        return self

    async def send(self, item: "SessionMessage", /) -> None:
        from anyio import BrokenResourceError
        from mcp_types import JSONRPCRequest

        if isinstance(item.message, JSONRPCRequest):
            self._recorder.asked(item.message.id, item.message.method)
        text = item.message.model_dump_json(by_alias=True, exclude_unset=True)
        try:
            self._writer.write(text.encode() + b"\n")
            # Only a request waits for a server that does not read: its caller has a time limit. The SDK sends the courtesy of a
            # cancellation shielded from cancelling, which cost seconds after every time-out.
            if isinstance(item.message, JSONRPCRequest):
                await self._writer.drain()
        except (ConnectionError, RuntimeError):
            raise BrokenResourceError from None
