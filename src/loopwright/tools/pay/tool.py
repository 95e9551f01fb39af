"""The payment tool: verify, reserve, pay, record; in this order, and each step final.

The rail's idempotency key is the mandate's id. Killed anywhere, a payment is found again by that key: the rail says that it was paid, or
takes the key out of use for ever. So a mandate is paid at most once, and nothing is guessed.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from loopwright.errors import ActionError, UsageError
from loopwright.policy.policy import PayRules
from loopwright.policy.values import Argument, CallView, Json, OutputField, ToolSpec
from loopwright.tools.canonical import parse
from loopwright.tools.pay.ledger import Holder, MandateLedger
from loopwright.tools.pay.mandate import MAX_BYTES, Mandate, Refusal, digest_of_mandate, is_mandate_id, open_mandate
from loopwright.tools.pay.quote import check_quote, parse_quotes
from loopwright.tools.pay.rail import Declined, Rail, RailUncertain, Receipt
from loopwright.tools.pay.terms import Payment, check_rules, check_terms, spend_of
from loopwright.tools.protocol import Happened, Preview, ToolContext, ToolOutput

__all__ = ["PAY_SPEC", "MandateFolder", "Mandates", "PayTool"]

PAY_SPEC: Final = ToolSpec(
    name="pay",
    effect="spend",
    arguments=(
        Argument("mandate", "object", '{"type":"string"}'),
        Argument("payee", "target", '{"type":"string"}'),
        Argument("amount_minor", "amount", '{"type":"integer","minimum":1}'),
        Argument("currency", "flag", '{"type":"string"}'),
        Argument("cart", "content", '{"type":"string"}', required=False),
        Argument("quote", "query", '{"type":"string"}', required=False),
    ),
    output=(OutputField("payment_id", "system", "item"),),
    description="Pay a payee under a mandate that a person signed. `quote` is the body of a 402 answer that is to be paid.",
    reversible=False,
    untrusted_output=False,
)


class Mandates(Protocol):
    def get(self, mandate_id: str) -> bytes | None:
        """The signed mandate as the person gave it; `None` when there is none of that id."""
        ...


class MandateFolder:
    """Mandates as files `<id>.json` in a folder that a person writes and no sandbox sees."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, mandate_id: str) -> bytes | None:
        if not is_mandate_id(mandate_id):
            return None
        try:
            descriptor = os.open(self._folder / f"{mandate_id}.json", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return None
        with open(descriptor, "rb") as file:
            return file.read(MAX_BYTES + 1)


@dataclass(frozen=True, slots=True)
class _Checked:
    mandate: Mandate
    payment: Payment
    sha256: str


class PayTool:
    """`task` is the name of the loop that pays; one instance serves one run in one process."""

    def __init__(self, rules: PayRules, task: str, rail: Rail, mandates: Mandates, ledger: MandateLedger) -> None:
        """Raises: `UsageError` when the policy is for another rail."""
        if rules.rail != rail.name:
            raise UsageError(f"payment rail: the policy names {rules.rail!r}, found {rail.name!r}: configure that one")
        self._rules = rules
        self._task = task
        self._rail = rail
        self._mandates = mandates
        self._ledger = ledger

    @property
    def spec(self) -> ToolSpec:
        return PAY_SPEC

    def covers(self, call: CallView, run_id: str, now_ms: int) -> bool:
        """Whether a verified mandate covers exactly this call, unused until now: for `Settings.mandated` of the gate."""
        if call.tool != PAY_SPEC.name:
            return False
        try:
            arguments = parse(call.arguments)
        except UsageError:
            return False
        if not isinstance(arguments, Mapping):
            return False
        checked = self._check(arguments, run_id, now_ms)
        return isinstance(checked, _Checked) and self._ledger.standing(checked.mandate.id) is None

    async def preview(self, arguments: Mapping[str, Json], context: ToolContext) -> Preview:
        checked = self._check(arguments, context.run_id, context.now_ms())
        if isinstance(checked, Refusal):
            raise ActionError(checked.line(), signature=checked.rule, status="denied")
        mandate, payment = checked.mandate, checked.payment
        taken = self._ledger.standing(mandate.id)
        if taken is not None:
            raise ActionError(
                f"mandate.used: mandate {mandate.id!r} was used by call {taken.holder}; sign a new mandate for another payment",
                signature="mandate.used",
                status="denied",
            )
        return Preview(
            precondition=checked.sha256,
            spend=spend_of(payment.currency, payment.amount_minor),
            notes=(
                f"pays {payment.amount_minor} minor units of {payment.currency} to {payment.payee!a}, once, over {mandate.rail!r}",
                f"under mandate {mandate.id!r} for {mandate.task!r}, at most {mandate.max_minor} minor units",
            ),
        )

    async def call(self, arguments: Mapping[str, Json], context: ToolContext) -> ToolOutput:
        checked = self._check(arguments, context.run_id, context.now_ms())
        if isinstance(checked, Refusal):
            return ToolOutput("denied", None, checked.line())
        holder, payment = Holder(context.run_id, context.call_id), checked.payment
        # No await between the sum of the run and the reservation: calls beside each other see each other's.
        refused = self._ledger.reserve(holder, payment, checked.sha256)
        if refused is not None:
            return ToolOutput("denied", None, refused.line())
        try:
            answer = await self._rail.pay(payment)
        except RailUncertain as error:
            return ToolOutput("unknown", None, str(error))
        if isinstance(answer, Declined):
            self._ledger.settle(holder, payment.mandate_id, "error", answer.why)
            return ToolOutput("error", None, f"the rail declined: {answer.why}; sign a new mandate to try again")
        return self._paid(holder, answer)

    async def happened(self, arguments: Mapping[str, Json], context: ToolContext) -> Happened:
        """Asks the rail by the mandate's id. Its only effect is that a payment that was not made cannot be made any more."""
        mandate_id = arguments.get("mandate")
        taken = self._ledger.standing(mandate_id) if isinstance(mandate_id, str) and is_mandate_id(mandate_id) else None
        holder = Holder(context.run_id, context.call_id)
        if taken is None or taken.holder != holder.name:
            return Happened("no", message="the mandate was never reserved for this call, so the rail was not called")
        try:
            receipt = await self._rail.settle(taken.payment)
        except RailUncertain as error:
            return Happened("unknown", message=str(error))
        if receipt is None:
            self._ledger.settle(holder, taken.payment.mandate_id, "cancelled", "the rail never paid it")
            return Happened("no", message="the rail never paid it, and will not; sign a new mandate to try again")
        return Happened("yes", self._paid(holder, receipt))

    def _paid(self, holder: Holder, receipt: Receipt) -> ToolOutput:
        self._ledger.settle(holder, receipt.key, "ok", receipt.payment_id)
        value: Json = {
            "amount_minor": receipt.amount_minor,
            "currency": receipt.currency,
            "payee": receipt.payee,
            "payment_id": receipt.payment_id,
        }
        spend = spend_of(receipt.currency, receipt.amount_minor)
        return ToolOutput("ok", value, f"paid as {receipt.payment_id}", spend, sent_bytes=len(receipt.payee.encode()))

    def _check(self, arguments: Mapping[str, Json], run_id: str, now_ms: int) -> _Checked | Refusal:
        """Everything but whether the mandate is unused: of that the ledger decides, when it reserves."""
        stated = _stated(arguments)
        if isinstance(stated, Refusal):
            return stated
        payment, cart, quote = stated
        data = self._mandates.get(payment.mandate_id)
        if data is None:
            return Refusal(
                "mandate.unknown",
                f"there is no mandate {payment.mandate_id[:80]!a}",
                "have a person sign one with `loopwright pay mandate`",
            )
        mandate = open_mandate(data, self._rules.keys)
        if isinstance(mandate, Refusal):
            return mandate
        if mandate.id != payment.mandate_id:
            return Refusal(
                "mandate.unknown", f"the file of {payment.mandate_id!r} holds {mandate.id!r}", "name it by its id"
            )
        refused = check_terms(
            mandate, payment, cart_sha256=cart, rail=self._rail.name, task=self._task, now_ms=now_ms
        ) or check_rules(self._rules, payment, self._ledger.paid_minor(run_id, payment.currency, but=mandate.id))
        if refused is not None:
            return refused
        if quote is not None:
            fitting = _fitting(quote, mandate, payment.amount_minor)
            if isinstance(fitting, Refusal):
                return fitting
            payment = Payment(
                payment.mandate_id,
                payment.payee,
                payment.currency,
                payment.amount_minor,
                mandate.asset,
                mandate.network,
                fitting,
            )
        return _Checked(mandate, payment, digest_of_mandate(data))


def _fitting(body: str, mandate: Mandate, amount_minor: int) -> str | Refusal:
    """The nonce of the offer that fits in everything, or what is wrong with the first."""
    quotes = parse_quotes(body)
    if isinstance(quotes, Refusal):
        return quotes
    refusals = [check_quote(quote, mandate, amount_minor) for quote in quotes]
    for quote, refusal in zip(quotes, refusals, strict=True):
        if refusal is None:
            return quote.nonce
    first = refusals[0]
    assert first is not None
    return first


def _stated(arguments: Mapping[str, Json]) -> tuple[Payment, str | None, str | None] | Refusal:
    known = {argument.name for argument in PAY_SPEC.arguments}
    unknown = sorted(set(arguments) - known)
    if unknown:
        return _wrong(f"there is no argument {unknown[0][:80]!a}")
    texts: dict[str, str | None] = {}
    for name in ("mandate", "payee", "currency", "cart", "quote"):
        value = arguments.get(name)
        if not isinstance(value, str) and (value is not None or name in ("mandate", "payee", "currency")):
            return _wrong(f"expected {name!r} to be a text")
        texts[name] = value
    amount = arguments.get("amount_minor")
    # `true` is an int to Python, and 5.0 is one to JSON: neither is an amount.
    if type(amount) is not int:
        return _wrong(f"expected 'amount_minor' to be whole minor units, found {amount!a}"[:200])
    payment = Payment(str(texts["mandate"]), str(texts["payee"]), str(texts["currency"]), amount)
    cart = texts["cart"]
    cart_sha256 = None if cart is None else hashlib.sha256(cart.encode("utf-8", "surrogatepass")).hexdigest()
    return payment, cart_sha256, texts["quote"]


def _wrong(why: str) -> Refusal:
    return Refusal("pay.arguments", why, "send mandate, payee, amount_minor and currency as the tool's schema says")
