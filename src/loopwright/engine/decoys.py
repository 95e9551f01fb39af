"""Decoys of a run: the key that they are made of, and the watch that ends a run whose tools are used for one."""

import os
import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from loopwright.policy.values import Json, ToolSpec
from loopwright.tools.protocol import Happened, Preview, Tool, Toolbox, ToolContext, ToolOutput

__all__ = ["KillsOnCanary", "WatchedBox", "site_key"]

_KEY_FILE: Final = "canary.key"


class KillsOnCanary:
    """A tool whose use of a decoy ends the run."""

    def __init__(self, tool: Tool, kill: Callable[[str], None]) -> None:
        self._tool = tool
        self._kill = kill

    @property
    def spec(self) -> ToolSpec:
        return self._tool.spec

    async def preview(self, arguments: Mapping[str, Json], context: ToolContext) -> Preview:
        with self._watched():
            return await self._tool.preview(arguments, context)

    async def call(self, arguments: Mapping[str, Json], context: ToolContext) -> ToolOutput:
        from loopwright.secrets.errors import CanarySeen

        try:
            with self._watched():
                return await self._tool.call(arguments, context)
        except CanarySeen as seen:
            # Nothing is left to find out: it was not sent, and nobody is asked about a run that ends.
            return ToolOutput("denied", None, str(seen))

    async def happened(self, arguments: Mapping[str, Json], context: ToolContext) -> Happened:
        return await self._tool.happened(arguments, context)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        from loopwright.secrets.errors import CanarySeen

        try:
            yield
        except CanarySeen as seen:
            self._kill(str(seen))
            raise


class WatchedBox:
    """A toolbox whose tools end the run when they are used for a decoy."""

    def __init__(self, box: Toolbox, kill: Callable[[str], None]) -> None:
        self._box = box
        self._kill = kill

    @property
    def tools(self) -> tuple[Tool, ...]:
        return tuple(KillsOnCanary(tool, self._kill) for tool in self._box.tools)

    @property
    def quarantined(self) -> tuple[str, ...]:
        return self._box.quarantined

    async def close(self) -> None:
        await self._box.close()


def site_key(runtime_dir: Path) -> bytes:
    """32 random bytes of this checkout, made at first use."""
    path = runtime_dir / _KEY_FILE
    try:
        return path.read_bytes()
    except FileNotFoundError:
        pass
    # Whole or not there: another run of the checkout may read it at this very moment.
    fd, fresh = tempfile.mkstemp(prefix=_KEY_FILE, dir=runtime_dir)
    try:
        with open(fd, "wb") as file:
            file.write(secrets.token_bytes(32))
        with suppress(FileExistsError):
            os.link(fresh, path)
    finally:
        os.unlink(fresh)
    return path.read_bytes()
