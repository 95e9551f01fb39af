"""A person's side of payments: the key that signs mandates and the folder that they lie in. Nothing that serves an agent comes here."""

import os
import secrets
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final

from loopwright.engine.boundary import mandates_folder
from loopwright.errors import UsageError, WorkspaceError
from loopwright.journal.keys import audit_places, load_key, load_or_make_key
from loopwright.journal.note import SigningKey
from loopwright.tools.pay.mandate import Mandate, sign

__all__ = ["KEY_NAME", "minor_units", "payment_key", "put_mandate"]

KEY_NAME: Final = "loopwright.payments"
_WHAT: Final = "payment key"

_DIGITS: Final = {
    **dict.fromkeys(
        (
            "BIF",
            "CLP",
            "DJF",
            "GNF",
            "ISK",
            "JPY",
            "KMF",
            "KRW",
            "PYG",
            "RWF",
            "UGX",
            "VND",
            "VUV",
            "XAF",
            "XOF",
            "XPF",
        ),
        0,
    ),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
}
"""Digits behind the point where they are not two (ISO 4217)."""


def minor_units(amount: str, currency: str) -> int:
    """`12.34` of a currency in its minor units, exact. Raises: `UsageError` for what is no amount of it."""
    digits = _DIGITS.get(currency, 2)
    try:
        value = Decimal(amount)
    except InvalidOperation:
        value = Decimal(-1)
    # Only plain digits: `1e3`, `1_000` and digits of other scripts are amounts that a person may read as another.
    plain = amount.isascii() and amount.replace(".", "", 1).isdigit()
    scaled = value.scaleb(digits) if plain and value.is_finite() else Decimal(-1)
    if scaled <= 0 or scaled != scaled.to_integral_value():
        shape = "12" if digits == 0 else f"12.{'3456'[:digits]}"
        raise UsageError(f"--amount: expected an amount of {currency} such as {shape}, found {amount!r}; write it so")
    return int(scaled)


def payment_key(env: Mapping[str, str], file: Path | None, *, outside: Path) -> tuple[SigningKey, Path, bool]:
    """The key that signs mandates, its place, and whether it was made just now: `file`, which must be there, or the user's own.

    Raises: `UsageError`, `JournalError`.
    """
    if file is not None:
        if not file.is_file():
            raise UsageError(f"--key {str(file)!r}: expected a key file, found none; leave it out for your own key")
        return load_key(file, what=_WHAT), file, False
    path = audit_places(env).key.with_name("pay.key")
    key, made = load_or_make_key(path, outside=[outside], name=KEY_NAME, what=_WHAT)
    return key, path, made


def put_mandate(
    env: Mapping[str, str],
    key: SigningKey,
    *,
    payee: str,
    amount_minor: int,
    currency: str,
    task: str,
    rail: str,
    now_ms: int,
    days: int,
    outside: Path,
    random_hex: Callable[[int], str] = secrets.token_hex,
) -> tuple[Mandate, Path]:
    """Sign a mandate for exactly this payment, once, and put it where runs look. Raises: `UsageError`, `WorkspaceError`."""
    folder = mandates_folder(env)
    if folder.resolve().is_relative_to(outside.resolve()):
        raise UsageError(
            f"mandates {str(folder)!r}: expected a place that no run can reach, found one inside {str(outside)!r}:"
            " set XDG_STATE_HOME to a folder outside of it"
        )
    mandate = Mandate(
        id=f"m-{random_hex(8)}",
        task=task,
        payee=payee,
        rail=rail,
        currency=currency,
        max_minor=amount_minor,
        amount_minor=amount_minor,
        cart_sha256=None,
        asset=None,
        network=None,
        uses=1,
        nbf_ms=now_ms,
        exp_ms=now_ms + days * 86_400_000,
        nonce=random_hex(16),
    )
    signed = sign(mandate, key.seed)
    path = folder / f"{mandate.id}.json"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with open(descriptor, "wb") as file:
            file.write(signed)
            file.flush()
            os.fsync(descriptor)
    except OSError as error:
        raise WorkspaceError(
            f"mandate {str(path)!r}: cannot be written ({error.strerror}): make its folder writable"
        ) from error
    return mandate, path
