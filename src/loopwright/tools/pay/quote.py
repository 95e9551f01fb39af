"""A 402 answer: what a server wants to be paid. Nothing in it is believed; it must name what the mandate names, to the byte.

The body is like that of x402: `{"accepts": [{"payTo", "asset", "network", "maxAmountRequired" | "amount", "nonce", …}]}`. A server may
offer several; one of them must fit in everything.
"""

import re
from collections.abc import Mapping
from typing import Final

from loopwright.errors import UsageError
from loopwright.kernel.values import Value
from loopwright.policy.values import Json
from loopwright.tools.canonical import parse
from loopwright.tools.pay.mandate import Mandate, Refusal

__all__ = ["Quote", "check_quote", "parse_quotes"]

_AMOUNT: Final = re.compile(r"0|[1-9][0-9]{0,15}")
_MAX_CHARS: Final = 64 << 10
_MAX_OFFERS: Final = 16


class Quote(Value, frozen=True):
    """One offer of a server. `nonce` is its own, handed back to it as the payment's reference."""

    payee: str
    asset: str
    network: str
    amount_minor: int
    nonce: str


def parse_quotes(body: str) -> tuple[Quote, ...] | Refusal:
    """The offers in the body of a 402 answer."""
    if len(body) > _MAX_CHARS:
        return _malformed(f"it is longer than {_MAX_CHARS} characters")
    try:
        value = parse(body, what="402 answer")
    except UsageError as error:
        return _malformed(str(error))
    offers = value.get("accepts") if isinstance(value, Mapping) else None
    if not isinstance(offers, list) or not 0 < len(offers) <= _MAX_OFFERS:
        return _malformed(f"expected 1 to {_MAX_OFFERS} offers in 'accepts'")
    found = [_offer(offer) for offer in offers]
    for quote in found:
        if isinstance(quote, Refusal):
            return quote
    return tuple(quote for quote in found if isinstance(quote, Quote))


def check_quote(quote: Quote, mandate: Mandate, amount_minor: int) -> Refusal | None:
    """Where `quote` differs from the mandate, or from the amount that is about to be paid under it."""
    if mandate.asset is None or mandate.network is None:
        return Refusal(
            "quote.unmandated",
            f"mandate {mandate.id!r} names no asset and network, so no 402 answer may be paid with it",
            "sign a mandate that names both",
        )
    for what, found, wanted in (
        ("payee", quote.payee, mandate.payee),
        ("asset", quote.asset, mandate.asset),
        ("network", quote.network, mandate.network),
    ):
        if found.encode("utf-8", "surrogatepass") != wanted.encode():
            return Refusal(
                f"quote.{what}",
                f"the 402 answer names {what} {found[:256]!a}, mandate {mandate.id!r} names {wanted!a}",
                f"pay nothing to this server, or sign a mandate for that {what}",
            )
    if quote.amount_minor != amount_minor or quote.amount_minor > mandate.max_minor:
        return Refusal(
            "quote.amount",
            f"the 402 answer wants {quote.amount_minor}, the call pays {amount_minor} and mandate {mandate.id!r} allows"
            f" {mandate.amount_minor or mandate.max_minor} minor units",
            "pay exactly what both allow",
        )
    return None


def _offer(offer: Json) -> Quote | Refusal:
    if not isinstance(offer, Mapping):
        return _malformed("an offer is no object")
    texts = []
    for key in ("payTo", "asset", "network", "nonce"):
        value = offer.get(key, "" if key == "nonce" else None)
        if not isinstance(value, str) or len(value) > 256:
            return _malformed(f"expected {key!r} to be a text of at most 256 characters")
        texts.append(value)
    stated = [offer[key] for key in ("maxAmountRequired", "amount") if key in offer]
    if len(stated) != 1:
        return _malformed("expected 'amount' or 'maxAmountRequired', and not both")
    amount = _amount(stated[0])
    if amount is None:
        return _malformed("expected an amount in whole minor units, as an integer or its digits")
    payee, asset, network, nonce = texts
    return Quote(payee, asset, network, amount, nonce)


def _amount(value: Json) -> int | None:
    """An integer or its digits: no `true`, no `1.0`, no `1e3`, no sign, no leading zero, no digits of another script."""
    if type(value) is int:
        return value if value >= 0 else None
    return int(value) if isinstance(value, str) and _AMOUNT.fullmatch(value) else None


def _malformed(why: str) -> Refusal:
    return Refusal("quote.malformed", f"the 402 answer cannot be read: {why}", "ask the server for a valid one")
