"""One connection to a server through the official SDK: opened, asked for its surface, called, closed.

What a server asks of us (sampling, elicitation, roots) is refused: it would be a second way to reach the model and the user, past the
gate. The SDK's session lives in a task of its own, since it must be entered and left by one and the same.
"""

import asyncio
import contextlib
import importlib.util
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING

from loopwright.errors import ActionError, UsageError
from loopwright.policy.values import Json
from loopwright.tools.approvals.safe_text import shown
from loopwright.tools.mcp.process import ServerProcess
from loopwright.tools.mcp.surface import Surface
from loopwright.tools.mcp.wire import Incoming, Outgoing, Recorder, quiet_sdk

if TYPE_CHECKING:
    from mcp import ClientSession
    from mcp_types import CallToolResult

__all__ = ["Client", "Ended", "connected"]

_CLOSING_S = 2.0
_PAGES = 50
_OBJECTS = 1_000
_LISTED_BYTES = 8 << 20


class Ended(ActionError):
    """The connection is gone: what was asked for last may or may not have been done."""


class Client:
    """A server that answered the handshake."""

    def __init__(self, process: ServerProcess) -> None:
        self._process = process
        self._recorder = Recorder()
        self._session: asyncio.Future[ClientSession] = asyncio.get_running_loop().create_future()
        self._close = asyncio.Event()
        self._gone = asyncio.Event()
        self._task = asyncio.create_task(self._live())
        self._opening: Json = None

    @property
    def gone(self) -> bool:
        return self._gone.is_set()

    @property
    def changed(self) -> bool:
        """Whether the server said, since `surface` asked last, that its lists changed."""
        return self._recorder.changed

    async def open(self, timeout_s: float) -> None:
        """Shake hands. Raises: `ActionError` when the server does not, in time and as the protocol says."""
        from mcp.shared.exceptions import MCPError

        async with self._guard("the handshake", timeout_s):
            session = await self._session
            try:
                await session.initialize()
                self._opening = self._recorder.take("initialize")
            except MCPError:
                if self.gone:
                    raise
                # The oldest handshake first: every server of before 2026 knows it, and some die of a question they do not know.
                await session.discover()
                self._opening = self._recorder.take("server/discover")

    async def surface(self, timeout_s: float) -> Surface:
        """What the server says of itself now, asked anew. Raises: `ActionError`."""
        capabilities = self._opening.get("capabilities") if isinstance(self._opening, dict) else None
        offered = capabilities if isinstance(capabilities, dict) else {}
        async with self._guard("its lists", timeout_s):
            session = await self._session
            # Reset before asking: a change that is announced while we ask is asked about again.
            self._recorder.changed = False
            tools = await self._list("tools", session) if "tools" in offered else []
            prompts = await self._list("prompts", session) if "prompts" in offered else []
        return Surface.of(self._opening, tools, prompts)

    async def call(self, name: str, arguments: Mapping[str, Json], timeout_s: float) -> "CallToolResult":
        """The result of one `tools/call`. Raises: `TimeoutError`, `Ended`, `ActionError`."""
        from mcp_types import CallToolRequest, CallToolRequestParams, CallToolResult

        async with self._guard(f"tool {name!r}", timeout_s, quiet=True):
            session = await self._session
            # Not `session.call_tool`: that runs the server's own output schema, with its regular expressions, in our process.
            request = CallToolRequest(params=CallToolRequestParams(name=name, arguments=dict(arguments)))
            return await session.send_request(request, CallToolResult)

    async def close(self) -> None:
        """End the session and the server."""
        self._close.set()
        await asyncio.wait({self._task})
        await self._process.close()

    async def _list(self, kind: str, session: "ClientSession") -> list[Json]:
        from mcp_types import (
            ListPromptsRequest,
            ListPromptsResult,
            ListToolsRequest,
            ListToolsResult,
            PaginatedRequestParams,
        )

        found: list[Json] = []
        size_bytes = 0
        cursor: str | None = None
        for _ in range(_PAGES):
            params = None if cursor is None else PaginatedRequestParams(cursor=cursor)
            if kind == "tools":
                await session.send_request(ListToolsRequest(params=params), ListToolsResult)
            else:
                await session.send_request(ListPromptsRequest(params=params), ListPromptsResult)
            page = self._recorder.take(f"{kind}/list")
            raws = page.get(kind) if isinstance(page, dict) else None
            if not isinstance(page, dict) or not isinstance(raws, list):
                raise ActionError(f"answer to '{kind}/list' holds no list {kind!r}")
            found += raws
            size_bytes += len(repr(raws))
            following = page.get("nextCursor")
            if not isinstance(following, str):
                return found
            if len(found) > _OBJECTS or size_bytes > _LISTED_BYTES:
                break
            cursor = following
        raise ActionError(f"its list of {kind} has no end: {len(found)} so far; expected at most {_OBJECTS}")

    async def _live(self) -> None:
        from mcp import ClientSession
        from mcp_types import Implementation

        quiet_sdk()
        incoming = Incoming(self._process.reader, self._recorder, self._gone.set)
        outgoing = Outgoing(self._process.writer, self._recorder)
        info = Implementation(name="loopwright", version="0")
        try:
            async with ClientSession(incoming, outgoing, client_info=info) as session:
                self._session.set_result(session)
                ends = [asyncio.ensure_future(event.wait()) for event in (self._close, self._gone)]
                try:
                    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for end in ends:
                        end.cancel()
        finally:
            self._gone.set()
            if not self._session.done():
                self._session.cancel()

    @contextlib.asynccontextmanager
    async def _guard(self, what: str, timeout_s: float, quiet: bool = False) -> AsyncIterator[None]:
        """Turns what the SDK raises into our errors, with how the server ended where it did."""
        from mcp.shared.exceptions import MCPError
        from pydantic import ValidationError

        try:
            async with asyncio.timeout(timeout_s):
                yield
        except TimeoutError:
            if quiet:
                raise
            raise ActionError(f"{what}: no answer within {timeout_s:g} s", status="timeout") from None
        except (MCPError, ValidationError, RuntimeError, OSError) as error:
            if self.gone or await self._closing(error):
                how = self._recorder.fault or await self._process.obituary()
                raise Ended(f"{what}: the server ended: {how}") from None
            raise ActionError(f"{what}: {shown(str(error))}") from None

    async def _closing(self, error: Exception) -> bool:
        """Whether the connection is going: the SDK may say so to who waits for an answer before its own task has ended."""
        if "closed" not in str(error).lower():
            return False
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._gone.wait(), _CLOSING_S)
        return self.gone


async def connected(process: ServerProcess, timeout_s: float) -> Client:
    """A client that shook hands; the process is closed when it cannot be. Raises: `ActionError`, `UsageError` without the SDK."""
    if importlib.util.find_spec("mcp") is None:
        await process.close()
        raise UsageError("MCP servers need the package 'mcp', which is not installed; install 'loopwright[mcp]'")
    client = Client(process)
    try:
        await client.open(timeout_s)
    except BaseException:
        await client.close()
        raise
    return client
