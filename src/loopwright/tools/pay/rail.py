"""What moves money. The key is the mandate's id: a rail pays once for it, however often it is asked."""

import http.client
import json
import urllib.parse
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec

from loopwright.errors import ActionError, UsageError
from loopwright.kernel.values import Value
from loopwright.tools.pay.terms import Payment

__all__ = ["Declined", "Rail", "RailUncertain", "Receipt", "SandboxRail"]

_MAX_ANSWER_BYTES: Final = 64 << 10


class Receipt(Value, frozen=True):
    """What the rail says that it paid; `key` is the idempotency key that it was paid for."""

    payment_id: str
    key: str
    payee: str
    currency: str
    amount_minor: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class Declined:
    """The rail said no, and nothing was paid."""

    why: str


class RailUncertain(ActionError):
    """The rail did not answer, or not in words that can be trusted: it may have paid."""


class Rail(Protocol):
    @property
    def name(self) -> str: ...

    async def pay(self, payment: Payment) -> Receipt | Declined:
        """Pay, once for `payment.mandate_id`; the same again gives the same receipt. Raises: `RailUncertain`."""
        ...

    async def settle(self, payment: Payment) -> Receipt | None:
        """The receipt of what was paid for the payment's key. `None`: nothing was, and from now on nothing can be: a request that is
        still under way is declined when it arrives. Raises: `RailUncertain`.
        """
        ...


class SandboxRail:
    """The rail of a `SandboxBank` at `url` (http on loopback): real requests, no real money."""

    def __init__(self, url: str, *, timeout_s: float = 10.0) -> None:
        """Raises: `UsageError` for a URL that does not lead to this machine."""
        parts = urllib.parse.urlsplit(url)
        if parts.scheme != "http" or parts.hostname not in ("127.0.0.1", "::1") or parts.port is None:
            raise UsageError(f"sandbox rail {url!r}: expected http://127.0.0.1:<port>, found something else")
        self._host, self._port, self._timeout_s = parts.hostname, parts.port, timeout_s

    @property
    def name(self) -> str:
        return "sandbox"

    async def pay(self, payment: Payment) -> Receipt | Declined:
        status, body = await self._post("/payments", payment)
        if status in (200, 201):
            return self._receipt(body, payment)
        if status in (402, 409, 410, 422):
            return Declined(_said(body))
        raise RailUncertain(f"sandbox rail: expected an answer to the payment, found status {status}: ask it again")

    async def settle(self, payment: Payment) -> Receipt | None:
        status, body = await self._post("/settlements", payment)
        if status == 200:
            return self._receipt(body, payment)
        if status == 410:
            return None
        raise RailUncertain(f"sandbox rail: expected to be told of the payment, found status {status}: ask it again")

    def _receipt(self, body: bytes, payment: Payment) -> Receipt:
        try:
            receipt = msgspec.json.decode(body, type=Receipt)
        except msgspec.DecodeError as error:
            raise RailUncertain(f"sandbox rail: expected a receipt, found {error}: look at the account") from None
        told = (receipt.key, receipt.payee, receipt.currency, receipt.amount_minor)
        if told != (payment.mandate_id, payment.payee, payment.currency, payment.amount_minor):
            raise RailUncertain(
                f"sandbox rail: its receipt {receipt.payment_id!r} is for another payment: look at the account"
            )
        return receipt

    async def _post(self, path: str, payment: Payment) -> tuple[int, bytes]:
        import asyncio

        return await asyncio.to_thread(self._post_now, path, payment)

    def _post_now(self, path: str, payment: Payment) -> tuple[int, bytes]:
        body = json.dumps(
            {
                "amount_minor": payment.amount_minor,
                "currency": payment.currency,
                "payee": payment.payee,
                "reference": payment.reference,
            }
        )
        connection = http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)
        try:
            headers = {"Content-Type": "application/json", "Idempotency-Key": payment.mandate_id}
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            data = answer.read(_MAX_ANSWER_BYTES + 1)
        except (OSError, http.client.HTTPException) as error:
            raise RailUncertain(f"sandbox rail: no answer ({error!r}): ask it again") from error
        finally:
            connection.close()
        if len(data) > _MAX_ANSWER_BYTES:
            raise RailUncertain("sandbox rail: its answer is too long to be one: look at the account")
        return answer.status, data


def _said(body: bytes) -> str:
    try:
        value = json.loads(body)
    except ValueError:
        value = None
    error = value.get("error") if isinstance(value, dict) else None
    return error[:200] if isinstance(error, str) else "the rail gave no reason"
