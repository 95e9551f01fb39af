"""The lines of the door, both ways: what a program may send, and what it gets back. Pure; malformed input is an error, never a guess."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from loopwright.errors import UsageError
from loopwright.policy.values import Json, ToolSpec
from loopwright.tools.canonical import canonical_output, parse
from loopwright.tools.results import CallResult

__all__ = [
    "LINE_BYTES",
    "PROTOCOL",
    "CallLine",
    "ListLine",
    "error_line",
    "manifest_line",
    "read_line",
    "read_token",
    "result_line",
]

PROTOCOL = 1

LINE_BYTES = 1 << 20
"""The longest line that is read; a longer one ends the connection."""

ID_CHARS = 200
REPLY_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class CallLine:
    id: str
    tool: str
    arguments: Mapping[str, Json]
    reason: str


@dataclass(frozen=True, slots=True)
class ListLine:
    id: str


def read_token(line: bytes) -> str:
    """The token of a connection's first line. Raises: `UsageError`."""
    value = _object(line, ("token",))
    token = value.get("token")
    if not isinstance(token, str):
        raise UsageError('first line: expected {"token": text}, found none; send the text of LOOPWRIGHT_DOOR_TOKEN')
    return token


def read_line(line: bytes) -> CallLine | ListLine:
    """A request. Raises: `UsageError` for anything else than one."""
    value = _object(line, ("id", "tool", "arguments", "reason", "list"))
    given = value.get("id", "")
    if not isinstance(given, str) or len(given) > ID_CHARS:
        raise UsageError(f"`id`: expected a text of at most {ID_CHARS} characters, found something else; shorten it")
    if "list" in value:
        if value["list"] is not True or set(value) - {"id", "list"}:
            raise UsageError('`list`: expected {"list": true} and nothing else, found more; ask for one thing a line')
        return ListLine(given)
    tool, arguments, reason = value.get("tool"), value.get("arguments", {}), value.get("reason", "")
    if not isinstance(tool, str) or not isinstance(arguments, dict) or not isinstance(reason, str):
        raise UsageError("request: expected `tool` as text, `arguments` as object, `reason` as text; correct it")
    return CallLine(given, tool, arguments, reason)


def result_line(request_id: str, result: CallResult) -> bytes:
    """What a program is told of its call. The output is bounded by the gate already."""
    return _line(
        {
            "id": request_id,
            "status": result.status,
            "output": result.output,
            "message": result.message,
            "call": result.call_id,
            "ask": result.ask_id,
            "rule": result.ruling.rule,
            "why": result.ruling.why,
            "remedy": result.ruling.remedy,
        }
    )


def manifest_line(request_id: str, manifest: Sequence[ToolSpec]) -> bytes:
    """The tools that may be asked for, with their arguments."""
    tools: list[Json] = [
        {
            "name": spec.name,
            "description": spec.description,
            "effect": spec.effect,
            "arguments": [
                {"name": a.name, "required": a.required, "role": a.role, "schema": _schema(a.schema)}
                for a in spec.arguments
            ],
        }
        for spec in manifest
    ]
    return _line({"id": request_id, "status": "ok", "tools": tools})


def error_line(message: str, request_id: str | None = None) -> bytes:
    """Something that was no request."""
    return _line({"id": request_id, "status": "error", "message": message})


def _line(value: Json) -> bytes:
    return canonical_output(value, limit_bytes=REPLY_BYTES) + b"\n"


def _object(line: bytes, keys: Sequence[str]) -> dict[str, Json]:
    value = parse(line, what="request")
    if not isinstance(value, dict):
        raise UsageError(
            "request: expected one JSON object a line, found something else; see the tool door's reference"
        )
    unknown = sorted(set(value) - set(keys))
    if unknown:
        raise UsageError(f"request: expected only {', '.join(keys)}, found {ascii(unknown[0])[:60]}; leave it out")
    return value


def _schema(text: str) -> Json:
    try:
        schema: Json = json.loads(text)
    except ValueError:
        return {}
    return schema
