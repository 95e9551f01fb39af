"""What a server gave back, as bounded JSON: text as text, pictures and files as their hash, links not followed."""

import base64
import binascii
from typing import TYPE_CHECKING

from loopwright.policy.values import Json
from loopwright.tools.approvals.safe_text import shown
from loopwright.tools.canonical import canonical_output, digest_of
from loopwright.tools.canonical import parse as parse_json

if TYPE_CHECKING:
    from mcp_types import CallToolResult

__all__ = ["OUTPUT_BYTES", "value_of"]

OUTPUT_BYTES = 256 << 10
_ATTACHMENTS = 100


def value_of(result: "CallToolResult", limit_bytes: int = OUTPUT_BYTES) -> Json:
    """`text`, `structured` and `attachments`, each only when there is any; together about `limit_bytes` at most."""
    from mcp_types import TextContent

    texts: list[str] = []
    attachments: list[Json] = []
    for block in result.content:
        if isinstance(block, TextContent):
            texts.append(block.text)
        elif len(attachments) < _ATTACHMENTS:
            attachments.append(_attachment(block, limit_bytes))
    value: dict[str, Json] = {}
    if texts:
        value["text"] = _cut("\n".join(texts), limit_bytes // 2)
    if result.structured_content is not None:
        value["structured"] = parse_json(canonical_output(result.structured_content, limit_bytes=limit_bytes // 4))
    if attachments:
        value["attachments"] = attachments
    return value


def _attachment(block: object, limit_bytes: int) -> Json:
    from mcp_types import AudioContent, EmbeddedResource, ImageContent, ResourceLink, TextResourceContents

    if isinstance(block, ImageContent | AudioContent):
        return {"kind": block.type, "media_type": shown(block.mime_type, limit_chars=80), **_hashed(block.data)}
    if isinstance(block, ResourceLink):
        return {"kind": "link", "uri": shown(str(block.uri)), "name": shown(block.name), "note": "not followed"}
    if isinstance(block, EmbeddedResource):
        inner = block.resource
        if isinstance(inner, TextResourceContents):
            return {"kind": "text", "uri": shown(str(inner.uri)), "text": _cut(inner.text, limit_bytes // 400)}
        return {"kind": "blob", "uri": shown(str(inner.uri)), **_hashed(inner.blob)}
    return {"kind": "unknown"}


def _hashed(encoded: str) -> dict[str, Json]:
    try:
        data = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return {"note": "not base64"}
    return {"sha256": digest_of(data), "size_bytes": len(data)}


def _cut(text: str, limit_bytes: int) -> str:
    data = text.encode("utf-8", "replace")
    if len(data) <= limit_bytes:
        return text
    return (
        data[:limit_bytes].decode("utf-8", "ignore") + f"\n[… cut: {len(data)} bytes in all, sha256 {digest_of(data)}]"
    )
