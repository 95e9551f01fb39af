"""A mandate: what a person allowed to be paid, signed with a key that no agent and no gate holds.

The signed bytes are the RFC 8785 form of the mandate behind a prefix of our own, so that a signature given for anything else is
worth nothing here. A mandate travels as one canonical JSON object; what is not byte for byte in that form is refused, so that no two
readers see two mandates in it: no key twice, no `1e3`, no `1.0`, no spelling of a text that another parser reads otherwise.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import msgspec
import rfc8785

from loopwright.errors import UsageError
from loopwright.kernel.values import Value

__all__ = [
    "MAX_BYTES",
    "MAX_MINOR",
    "Mandate",
    "Refusal",
    "SignedMandate",
    "digest_of_mandate",
    "is_mandate_id",
    "open_mandate",
    "public_key",
    "sign",
]

MAX_MINOR: Final = 2**53 - 1
"""JSON carries no larger integer that every reader reads alike."""

MAX_BYTES: Final = 16 << 10
_PREFIX: Final = b"loopwright payment mandate v1\n"
_ID: Final = re.compile(r"[a-z0-9][a-z0-9-]{7,63}")
_WORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9:._/-]{0,127}")
_CURRENCY: Final = re.compile(r"[A-Z][A-Z0-9]{2,11}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_NONCE: Final = re.compile(r"[0-9a-f]{16,64}")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why nothing is paid. `rule` is a stable name, `remedy` the smallest change that would allow it."""

    rule: str
    why: str
    remedy: str

    def line(self) -> str:
        return f"{self.rule}: {self.why}; {self.remedy}"


class Mandate(Value, frozen=True):
    """Every key is always there. Amounts are whole minor units (cents) of `currency`.

    `payee` is compared byte by byte. `amount_minor` is the one amount that may be paid, `None` = any up to `max_minor`. `cart_sha256`
    binds it to a cart's bytes. `asset` and `network` are those that a 402 answer must name, `None` = no 402 may be paid. `task` is the
    loop that it is for. It holds from `nbf_ms` to before `exp_ms`, and once.
    """

    id: str
    task: str
    payee: str
    rail: str
    currency: str
    max_minor: int
    amount_minor: int | None
    cart_sha256: str | None
    asset: str | None
    network: str | None
    uses: Literal[1]
    nbf_ms: int
    exp_ms: int
    nonce: str


class SignedMandate(Value, frozen=True):
    """`key` is the public key and `signature` the signature, both in hex."""

    mandate: Mandate
    key: str
    signature: str


def is_mandate_id(text: str) -> bool:
    """Whether `text` can be a mandate's id: 8 to 64 of a-z, 0-9 and `-`. It becomes a file's and a stream's name."""
    return _ID.fullmatch(text) is not None


def public_key(seed: bytes) -> str:
    """The public key in hex, for the policy's `[pay] keys`, of the private key with these 32 bytes."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw().hex()


def sign(mandate: Mandate, seed: bytes) -> bytes:
    """The signed mandate, for the person's side only: nothing that serves an agent calls this or holds the key.

    Raises: `UsageError` for a mandate that would be refused.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    fault = _fault(mandate)
    if fault is not None:
        raise UsageError(f"mandate {mandate.id!r}: {fault}")
    signature = Ed25519PrivateKey.from_private_bytes(seed).sign(_PREFIX + _canonical(mandate))
    return _canonical(SignedMandate(mandate, public_key(seed), signature.hex()))


def open_mandate(data: bytes, keys: Sequence[str]) -> Mandate | Refusal:
    """The mandate in `data`, once its signature by one of `keys` (public, hex) is good."""
    if len(data) > MAX_BYTES:
        return _malformed(f"it is larger than {MAX_BYTES} bytes")
    try:
        signed = msgspec.json.decode(data, type=SignedMandate)
        same = _canonical(signed) == data
    except (msgspec.DecodeError, UnicodeDecodeError, rfc8785.CanonicalizationError) as error:
        return _malformed(str(error))
    if not same:
        return _malformed("it is not in its canonical form (RFC 8785), byte for byte")
    mandate = signed.mandate
    if signed.key not in keys:
        return Refusal(
            "mandate.signer",
            f"mandate {mandate.id!r} is signed by key {signed.key[:12]!r}, which may not sign",
            "have it signed by a key of the policy's [pay] keys, or add that key there",
        )
    if not _is_good(signed):
        return Refusal(
            "mandate.signature",
            f"the signature does not fit mandate {mandate.id!r}: it was changed",
            "have it signed anew",
        )
    fault = _fault(mandate)
    return mandate if fault is None else _malformed(fault)


def _malformed(why: str) -> Refusal:
    return Refusal("mandate.malformed", why[:300], "write and sign it with `loopwright pay mandate`")


def _is_good(signed: SignedMandate) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(signed.key))
        key.verify(bytes.fromhex(signed.signature), _PREFIX + _canonical(signed.mandate))
    except (InvalidSignature, ValueError):
        return False
    return True


def _fault(mandate: Mandate) -> str | None:
    """What no mandate may be, signed or not."""
    if not is_mandate_id(mandate.id):
        return f"expected an id of 8 to 64 of a-z, 0-9 and '-', found {mandate.id[:80]!r}"
    if not 0 < mandate.max_minor <= MAX_MINOR:
        return f"expected a cap of 1 to 2**53-1 minor units, found {mandate.max_minor}"
    if mandate.amount_minor is not None and not 0 < mandate.amount_minor <= mandate.max_minor:
        return f"expected an amount of 1 to the cap {mandate.max_minor}, found {mandate.amount_minor}"
    # A payee that a person cannot tell from another by looking is none: no control, bidi or invisible characters, no blanks around.
    payee = mandate.payee
    if not payee.isprintable() or payee != payee.strip() or not 0 < len(payee) <= 256:
        return f"expected a payee of 1 to 256 visible characters, found {payee[:80]!a}"
    if not _CURRENCY.fullmatch(mandate.currency):
        return f"expected a currency such as USD, found {mandate.currency[:40]!r}"
    for name in ("rail", "task", "asset", "network"):
        value = getattr(mandate, name)
        if value is not None and not _WORD.fullmatch(value):
            return f"expected {name} to be a plain name, found {value[:80]!r}"
    if (mandate.asset is None) != (mandate.network is None):
        return "expected asset and network both or neither"
    if mandate.cart_sha256 is not None and not _SHA256.fullmatch(mandate.cart_sha256):
        return "expected cart_sha256 to be 64 hex digits"
    if not _NONCE.fullmatch(mandate.nonce):
        return "expected a nonce of 16 to 64 hex digits"
    if not 0 <= mandate.nbf_ms < mandate.exp_ms <= MAX_MINOR:
        return f"expected nbf_ms before exp_ms, found {mandate.nbf_ms} and {mandate.exp_ms}"
    return None


def _canonical(value: Value) -> bytes:
    return rfc8785.dumps(msgspec.to_builtins(value))


def digest_of_mandate(data: bytes) -> str:
    """SHA-256 in hex of a signed mandate: what a call that uses it is bound to."""
    return hashlib.sha256(data).hexdigest()
