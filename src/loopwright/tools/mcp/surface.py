"""Everything a server says of itself before it is called: the raw wire objects, their hash, and what changed between two of them.

The hash is over the objects as they came, unknown fields included, not over what a dialog would show of them: fields that no dialog
shows (`_meta`, `outputSchema`, a title) reach the model or steer the call just as well.
"""

import difflib
import json

from loopwright.kernel.values import Value
from loopwright.policy.values import Json
from loopwright.tools.approvals.safe_text import escaped
from loopwright.tools.canonical import canonical, digest_of, parse

__all__ = ["SURFACE_BYTES", "Surface", "difference", "name_of", "surface_digest"]

SURFACE_BYTES = 8 << 20
_LINES = 400


class Surface(Value, frozen=True):
    """`opening` is the raw result of the handshake (capabilities, server info, instructions) as canonical JSON; `tools` and `prompts`
    are the raw objects of the lists, each canonical JSON, ordered by that text: a server may list them in any order."""

    opening: str
    tools: tuple[str, ...]
    prompts: tuple[str, ...] = ()

    @classmethod
    def of(cls, opening: Json, tools: list[Json], prompts: list[Json]) -> "Surface":
        """Raises: `UsageError` for values without a canonical form, and for more than `SURFACE_BYTES`."""
        return cls(_text(opening), tuple(sorted(map(_text, tools))), tuple(sorted(map(_text, prompts))))


def surface_digest(surface: Surface) -> str:
    """Hex SHA-256 that changes with any byte of meaning in the surface."""
    return digest_of(_canonical([surface.opening, list(surface.tools), list(surface.prompts)]))


def name_of(raw: Json) -> str:
    """The name in a raw tool or prompt; empty when it has none that is a string."""
    name = raw.get("name") if isinstance(raw, dict) else None
    return name if isinstance(name, str) else ""


def difference(pinned: Surface, found: Surface) -> str:
    """A unified diff from the pinned to the found surface, safe on a terminal; empty when they are the same."""
    if pinned == found:
        return ""
    before, after = _lines(pinned), _lines(found)
    lines = list(difflib.unified_diff(before, after, "pinned", "found", lineterm="", n=2))
    more = len(lines) - _LINES
    return "\n".join(lines[:_LINES] + ([f"… {more} more lines"] if more > 0 else []))


def _lines(surface: Surface) -> list[str]:
    lines = ["opening", *_pretty(surface.opening)]
    for kind, raws in (("tool", surface.tools), ("prompt", surface.prompts)):
        for raw in sorted(raws, key=lambda text: (name_of(parse(text)), text)):
            lines += [f"{kind} {escaped(name_of(parse(raw)))}", *_pretty(raw)]
    return lines


def _pretty(text: str) -> list[str]:
    """Strings keep their line ends escaped, so that a description cannot draw lines of the diff itself."""
    pretty = json.dumps(parse(text), indent=2, sort_keys=True, ensure_ascii=False)
    return ["  " + escaped(line) for line in pretty.split("\n")]


def _text(value: Json) -> str:
    return _canonical(value).decode()


def _canonical(value: Json) -> bytes:
    return canonical(value, limit_bytes=SURFACE_BYTES, what="what the server says of itself")
