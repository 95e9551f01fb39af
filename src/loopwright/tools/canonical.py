"""The one form of a call's bytes: what is decided, shown, approved, done and hashed is the same RFC 8785 text.

Two readers must never see two calls in one message: duplicate keys, NaN, numbers that no double carries and lone surrogates are
refused, and so is what is too large or too deep to be shown to a person.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Final

import rfc8785

from loopwright.errors import UsageError
from loopwright.policy.values import Json

__all__ = [
    "ARGUMENT_BYTES",
    "MAX_DEPTH",
    "call_digest",
    "canonical",
    "canonical_output",
    "copy_of",
    "digest_of",
    "parse",
]

ARGUMENT_BYTES: Final = 1 << 20
"""The most that the canonical arguments of one call may take."""

MAX_DEPTH: Final = 32
_MAX_INT: Final = 2**53 - 1


def digest_of(data: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(data).hexdigest()


def canonical(value: Json | Mapping[str, Json], *, limit_bytes: int = ARGUMENT_BYTES, what: str = "arguments") -> bytes:
    """The RFC 8785 form of `value`. Raises: `UsageError` for what has none, and for more than `limit_bytes` of it."""
    top: Json = dict(value) if isinstance(value, Mapping) else value
    fault = _fault(top)
    if fault:
        raise UsageError(f"{what}: expected JSON that every reader reads alike, found {fault}; send it without that")
    data = rfc8785.dumps(top)
    if len(data) > limit_bytes:
        raise UsageError(f"{what}: expected at most {limit_bytes} bytes, found {len(data)}; send less at once")
    return data


def parse(text: bytes | str, *, what: str = "message") -> Json:
    """The value of a JSON text. Raises: `UsageError` for anything that `canonical` refuses, and for a key that stands there twice."""
    try:
        # `utf-8` is strict: an overlong form or an encoded surrogate is no text.
        source = text if isinstance(text, str) else text.decode("utf-8")
        value: Json = json.loads(source, object_pairs_hook=_unique, parse_constant=_no_constant)
    except RecursionError:
        raise UsageError(f"{what}: expected at most {MAX_DEPTH} levels of JSON, found more; make it flatter") from None
    except (ValueError, UnicodeDecodeError) as error:
        raise UsageError(f"{what}: expected one JSON value in UTF-8, found a fault: {error}") from None
    fault = _fault(value)
    if fault:
        raise UsageError(f"{what}: expected JSON that every reader reads alike, found {fault}; send it without that")
    return value


def copy_of(data: bytes) -> dict[str, Json]:
    """The arguments in canonical `data`, as an object of its own: whoever changes it changes nobody else's."""
    value = json.loads(data)
    assert isinstance(value, dict), "the arguments of a call are an object"
    return value


def canonical_output(value: Json, *, limit_bytes: int) -> bytes:
    """The RFC 8785 form of what a tool gave back. What has none is replaced, not refused: the effect has happened.

    More than `limit_bytes` becomes an object with the beginning of the text, its size and its hash.
    """
    try:
        data = rfc8785.dumps(_repaired(value, 0))
    except (rfc8785.CanonicalizationError, RecursionError) as error:
        data = rfc8785.dumps({"unreadable": str(error)[:200]})
    if len(data) <= limit_bytes:
        return data
    # Escaping can make six bytes of one: a third of the room holds the worst case together with the frame.
    head = data[: max(0, limit_bytes // 8)].decode("utf-8", "ignore")
    return rfc8785.dumps({"truncated": True, "head": head, "size_bytes": len(data), "sha256": digest_of(data)})


def call_digest(*, run_id: str, actor: str, tool: str, pin: str, arguments: bytes, precondition: str) -> str:
    """What an approval is bound to: SHA-256 over the RFC 8785 form of all that makes this call this call. `arguments` is canonical."""
    parts = (
        _pair("actor", rfc8785.dumps(actor)),
        _pair("arguments", arguments),
        _pair("pin", rfc8785.dumps(pin)),
        _pair("precondition", rfc8785.dumps(precondition)),
        _pair("run", rfc8785.dumps(run_id)),
        _pair("tool", rfc8785.dumps(tool)),
    )
    return digest_of(b"{" + b",".join(parts) + b"}")


def _pair(key: str, value: bytes) -> bytes:
    return b'"%b":%b' % (key.encode(), value)


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!a} stands there twice")
    return found


def _no_constant(name: str) -> Json:
    raise ValueError(f"{name} is not a JSON number")


def _fault(value: object) -> str | None:
    """Why `value` is no JSON that survives every reader; `None` when it is. Walks with a list: a deep value must not end us."""
    waiting: list[tuple[object, int]] = [(value, 0)]
    while waiting:
        at, depth = waiting.pop()
        if depth > MAX_DEPTH:
            return f"more than {MAX_DEPTH} levels"
        if isinstance(at, str):
            if not _is_text(at):
                return "a lone surrogate in a text"
        elif isinstance(at, bool) or at is None:
            continue
        elif isinstance(at, int):
            if abs(at) > _MAX_INT:
                return "an integer past 2**53-1"
        elif isinstance(at, float):
            if not math.isfinite(at):
                return "a number that is not finite"
            if _looks_too_big(at):
                return "an integer past 2**53-1"
        elif isinstance(at, list):
            waiting += [(item, depth + 1) for item in at]
        elif isinstance(at, dict):
            for key, item in at.items():
                if not isinstance(key, str) or not _is_text(key):
                    return "a key that is not a text"
                waiting.append((item, depth + 1))
        else:
            return f"a {type(at).__name__}, which JSON does not have"
    return None


def _looks_too_big(number: float) -> bool:
    """Whether RFC 8785 writes it as an integer that not every reader holds: 2.0**53 is written without a point."""
    return abs(number) > _MAX_INT and number.is_integer()


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _repaired(value: object, depth: int) -> Json:
    if depth > MAX_DEPTH:
        return "[deeper levels left out]"
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) <= _MAX_INT else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) and not _looks_too_big(value) else str(value)
    if isinstance(value, list | tuple):
        return [_repaired(item, depth + 1) for item in value]
    if isinstance(value, Mapping):
        return {str(_repaired(str(key), 0)): _repaired(item, depth + 1) for key, item in value.items()}
    return str(_repaired(repr(value), 0))
