"""Files of the candidate as tools: read, list, write, remove. Nothing here follows a link or leaves the candidate.

What a person approves and what is done is the same file: its content is the call's precondition.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from loopwright.errors import ActionError, WorkspaceError
from loopwright.kernel.values import BlobRef
from loopwright.policy.values import Argument, Json, OutputField, ToolSpec
from loopwright.tools.protocol import Happened, Preview, Tool, ToolContext, ToolOutput
from loopwright.tools.workbench import FILE_BYTES, Workbench, diff_of, state_of
from loopwright.workspace.patterns import matches, validate

__all__ = ["LIST", "READ", "REMOVE", "WRITE", "file_tools"]

READ_CHARS = 100_000
LISTED = 2_000

_PATH = '{"type":"string"}'
_COUNT = '{"type":"integer"}'

READ = ToolSpec(
    "files.read",
    "read",
    (Argument("path", "object", _PATH), Argument("offset", "query", _COUNT, required=False)),
    (OutputField("path", "system"), OutputField("text", "free")),
    f"Read a file, {READ_CHARS} characters at most from character `offset` on. What is no UTF-8 comes as base64.",
)
LIST = ToolSpec(
    "files.list",
    "read",
    (Argument("pattern", "query", _PATH, required=False),),
    (OutputField("paths[]", "free"),),
    f"The paths of the work folder that a gitignore-style pattern covers, {LISTED} at most.",
)
WRITE = ToolSpec(
    "files.write",
    "write_own",
    (
        Argument("path", "object", _PATH),
        Argument("text", "content", _PATH),
        Argument("executable", "flag", '{"type":"boolean"}', required=False),
    ),
    (OutputField("path", "system"),),
    "Write a whole UTF-8 file; folders are made, what was there is replaced.",
    reversible=True,
    untrusted_output=False,
)
REMOVE = ToolSpec(
    "files.remove",
    "write_own",
    (Argument("path", "object", _PATH),),
    (OutputField("path", "system"),),
    "Remove a file of the work folder.",
    reversible=True,
    untrusted_output=False,
)


def file_tools(bench: Workbench) -> tuple[Tool, ...]:
    """The four tools over one candidate."""
    return (
        _FileTool(READ, "read", bench),
        _FileTool(LIST, "list", bench),
        _FileTool(WRITE, "write", bench),
        _FileTool(REMOVE, "remove", bench),
    )


@dataclass(frozen=True, slots=True)
class _FileTool:
    spec: ToolSpec
    does: Literal["read", "list", "write", "remove"]
    bench: Workbench

    async def preview(self, arguments: Mapping[str, Json], context: ToolContext) -> Preview:
        """Raises: `ActionError` for a path that cannot be read or changed, and for a file that is not there."""
        if self.does == "list":
            _pattern(arguments)
            return Preview()
        path = _text(arguments, "path")
        async with self.bench.busy:
            old = self.bench.read(path)
        if self.does == "write":
            new = _content(arguments)
            return Preview(state_of(path, old), diff_of(path, old, new))
        if old is None:
            raise ActionError(f"{self.spec.name}: expected a file at {path!r}, found none; see `files.list`")
        if self.does == "remove":
            return Preview(state_of(path, old), diff_of(path, old, None))
        return Preview()

    async def call(self, arguments: Mapping[str, Json], context: ToolContext) -> ToolOutput:
        async with self.bench.busy:
            try:
                return ToolOutput("ok", self._do(arguments))
            except (ActionError, WorkspaceError) as error:
                return ToolOutput("error", None, str(error))

    async def happened(self, arguments: Mapping[str, Json], context: ToolContext) -> Happened:
        """The candidate is gone with the process that had it; whoever works on takes a new one."""
        return Happened("unknown", message="the candidate of that call is gone")

    def _do(self, arguments: Mapping[str, Json]) -> Json:
        if self.does == "list":
            return self._listed(_pattern(arguments))
        path = _text(arguments, "path")
        if self.does == "read":
            return _read(path, self.bench.read(path), arguments.get("offset", 0))
        if self.does == "remove":
            self.bench.remove(path)
            return {"path": path}
        data = _content(arguments)
        self.bench.write(path, data, executable=arguments.get("executable") is True)
        return {"path": path, "size_bytes": len(data)}

    def _listed(self, pattern: str) -> Json:
        bench = self.bench
        # Contents are not kept: only which paths are there counts.
        changes = bench.candidate.harvest(_NoBlobs())
        gone = {change.path for change in changes if change.content is None}
        there = {*bench.workspace.paths(bench.tree), *(c.path for c in changes if c.content is not None)} - gone
        found = sorted(path for path in there if not pattern or matches(path, [pattern]))
        return {"paths": list(found[:LISTED]), "count": len(found), "truncated": len(found) > LISTED}


def _read(path: str, data: bytes | None, offset: Json) -> Json:
    if data is None:
        raise ActionError(f"files.read: expected a file at {path!r}, found none; see `files.list`")
    if not isinstance(offset, int | float) or offset < 0:
        raise ActionError(f"files.read: expected `offset` as a number of characters, found {offset!r}; leave it out")
    start = int(offset)
    try:
        text = data.decode()
    except UnicodeDecodeError:
        part = data[start : start + READ_CHARS // 2]
        return {"path": path, "base64": base64.b64encode(part).decode(), "size_bytes": len(data), "offset": start}
    return {"path": path, "text": text[start : start + READ_CHARS], "size_chars": len(text), "offset": start}


def _text(arguments: Mapping[str, Json], name: str) -> str:
    value = arguments.get(name)
    if not isinstance(value, str):
        raise ActionError(f"files: expected `{name}` as a text, found {type(value).__name__}; give one")
    return value


def _content(arguments: Mapping[str, Json]) -> bytes:
    data = _text(arguments, "text").encode()
    if len(data) > FILE_BYTES:
        raise ActionError(f"files.write: expected at most {FILE_BYTES} bytes, found {len(data)}; write less at once")
    return data


def _pattern(arguments: Mapping[str, Json]) -> str:
    pattern = arguments.get("pattern", "")
    fault = validate(pattern) if isinstance(pattern, str) and pattern else None
    if not isinstance(pattern, str) or fault:
        raise ActionError(f"files.list: pattern {pattern!r} {fault or 'is no text; give one'}")
    return pattern


class _NoBlobs:
    """Takes contents and forgets them."""

    def put(self, data: bytes, media_type: str = "text/plain", *, exact: bool = False) -> BlobRef:
        return BlobRef("", len(data), media_type)

    def get(self, ref: BlobRef) -> bytes:
        raise ActionError("files.list: contents are not kept while paths are listed")
