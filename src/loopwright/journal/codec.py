"""The bytes of an event, and back. What is written here is what the chain hashes, for ever.

The form is RFC 8785 JSON of `at_ms, body, prev, run_id, seq, v`. `v` is the event schema's version: an older event is upcast on
reading, a newer one is refused. Stored bytes are never rewritten.
"""

import hashlib
import re
from collections.abc import Sequence
from typing import Final

import msgspec
import rfc8785

from loopwright.errors import JournalCorrupt, JournalError, JournalTooNew
from loopwright.journal.upcasts import ANY_KIND, UPCASTERS, Upcaster, Upcasters
from loopwright.journal.walk import can_hold_float, holds_float, map_text
from loopwright.kernel.events import SCHEMA_VERSION, Body, Event, kind_of
from loopwright.kernel.values import Value

__all__ = [
    "ANY_KIND",
    "UPCASTERS",
    "Upcaster",
    "Upcasters",
    "decode",
    "digest_of",
    "encode",
    "encode_bodies",
    "encode_text",
    "too_new",
    "without_surrogates",
]


class _Envelope(Value, frozen=True):
    at_ms: int
    body: Body
    prev: str
    run_id: str
    seq: int
    v: int


class _OldEnvelope(Value, frozen=True):
    at_ms: int
    body: dict[str, object]
    prev: str
    run_id: str
    seq: int
    v: int


class _Version(msgspec.Struct, frozen=True):
    v: int


_encoder: Final = msgspec.json.Encoder(order="sorted")
_decoder: Final = msgspec.json.Decoder(_Envelope)
_envelope: Final = b'{"at_ms":%d,"body":%b,"prev":"%b","run_id":%b,"seq":%d,"v":%d}'
_present: Final = b',"v":%d}' % SCHEMA_VERSION
# RFC 8785 numbers are IEEE doubles: an integer past 2**53 would not be read back the same by every reader. 2**53 has 16 digits.
_maybe_too_big: Final = re.compile(rb"[:,\[]-?[0-9]{16}").search


def digest_of(data: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(data).hexdigest()


def encode_bodies(bodies: Sequence[Body]) -> list[bytes]:
    """The canonical bytes of each body. Their texts must be free of lone surrogates (`without_surrogates`).

    Raises: `JournalError` for a number that JSON cannot carry exactly (past 2**53, NaN, infinity); `UnicodeEncodeError`.
    """
    # msgspec writes the same bytes as RFC 8785 when there are no floats, 20 times faster; a property test holds them equal.
    try:
        texts = [
            _general(body) if can_hold_float(type(body)) and holds_float(body) else _encoder.encode(body)
            for body in bodies
        ]
    except OverflowError:
        return [_general(body) for body in bodies]
    return texts if _maybe_too_big(b",".join(texts)) is None else [_general(body) for body in bodies]


def _general(body: Body) -> bytes:
    try:
        return rfc8785.dumps(msgspec.to_builtins(body))
    except (rfc8785.IntegerDomainError, rfc8785.FloatDomainError) as error:
        raise JournalError(
            f"event {kind_of(body)!r}: expected finite numbers of at most 2**53-1, found one that is not ({error}):"
            " nothing was written"
        ) from None
    except rfc8785.CanonicalizationError as error:
        raise UnicodeEncodeError("utf-8", "", 0, 0, str(error)) from None


def encode_text(text: str) -> bytes:
    """The canonical bytes of a string."""
    return _encoder.encode(text)


def encode(run_id: bytes, seq: int, at_ms: int, prev: str, body: bytes) -> bytes:
    """The canonical bytes of an event, of its canonical `run_id` (`encode_text`) and `body` (`encode_bodies`).

    Its keys are written in RFC 8785's order here, so that a body is encoded once, whatever is done with its bytes in between.
    """
    return _envelope % (at_ms, body, prev.encode(), run_id, seq, SCHEMA_VERSION)


def without_surrogates(body: Body) -> Body:
    """The body with every lone surrogate replaced by U+FFFD: text that the world handed us may hold some, JSON may not."""
    return map_text(body, _replace_surrogates)


def _replace_surrogates(text: str) -> str:
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def decode(
    data: bytes, digest: str, *, upcasters: Upcasters = UPCASTERS, schema_version: int = SCHEMA_VERSION
) -> Event:
    """The event in canonical `data`, upcast to `schema_version`. `digest` is handed on, not checked.

    Raises: `JournalCorrupt` when it is not an event, `JournalTooNew` when its version is higher than `schema_version`.
    """
    try:
        # The version is the last key of the canonical form: the present version costs one comparison and one decode.
        if data.endswith(_present) and schema_version == SCHEMA_VERSION:
            e = _decoder.decode(data)
            return Event(e.run_id, e.seq, e.at_ms, e.prev, e.body, digest)
        version = msgspec.json.decode(data, type=_Version).v
        if version > schema_version:
            raise too_new("event", version, schema_version)
        old = msgspec.json.decode(data, type=_OldEnvelope)
        body = msgspec.convert(_upcast(old.body, version, upcasters, schema_version), Body)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise JournalCorrupt(
            f"stored event {digest[:12]!r}: expected an event that this version knows, found {error}"
        ) from None
    return Event(old.run_id, old.seq, old.at_ms, old.prev, body, digest)


def _upcast(body: dict[str, object], version: int, upcasters: Upcasters, schema_version: int) -> dict[str, object]:
    for at in range(version, schema_version):
        for kind in (ANY_KIND, str(body.get("type"))):
            step = upcasters.get((kind, at))
            if step is not None:
                body = step(body)
    return body


def too_new(what: str, found: int, known: int) -> JournalTooNew:
    """The error for data of a later version; `what` names where it stands."""
    return JournalTooNew(
        f"journal {what} was written by a newer loopwright (schema {found}, this one knows {known}): upgrade loopwright"
    )
