"""Whether a payment is one that its mandate and the policy allow. Pure: texts by their bytes, amounts as integers."""

from typing import Final

from loopwright.kernel.values import Spend, Value
from loopwright.policy.policy import PayRules
from loopwright.tools.pay.mandate import Mandate, Refusal

__all__ = ["Payment", "check_rules", "check_terms", "spend_of"]

_USD: Final = "USD"
_MICROS_PER_CENT: Final = 10_000


class Payment(Value, frozen=True):
    """What is about to be paid. `mandate_id` is its idempotency key at the rail; `reference` is for the payee."""

    mandate_id: str
    payee: str
    currency: str
    amount_minor: int
    asset: str | None = None
    network: str | None = None
    reference: str = ""


def spend_of(currency: str, amount_minor: int) -> Spend:
    """What a payment takes from a run's dollars; other currencies take nothing there, the policy's caps hold them."""
    return Spend(usd_micros=amount_minor * _MICROS_PER_CENT) if currency == _USD else Spend()


def check_terms(
    mandate: Mandate, payment: Payment, *, cart_sha256: str | None, rail: str, task: str, now_ms: int
) -> Refusal | None:
    """What in `mandate` does not allow `payment` now; `None` when nothing does."""
    name = f"mandate {mandate.id!r}"
    if now_ms < mandate.nbf_ms:
        return Refusal("mandate.not_yet", f"{name} holds in {mandate.nbf_ms - now_ms} ms only", "wait until it does")
    if now_ms >= mandate.exp_ms:
        return Refusal("mandate.expired", f"{name} expired {now_ms - mandate.exp_ms} ms ago", "sign a new one")
    if mandate.task != task:
        return Refusal("mandate.task", f"{name} is for {mandate.task!r}, this is {task!r}", f"sign one for {task!r}")
    if mandate.rail != rail:
        return Refusal(
            "mandate.rail", f"{name} is for rail {mandate.rail!r}, this is {rail!r}", f"sign one for {rail!r}"
        )
    if mandate.payee.encode() != payment.payee.encode("utf-8", "surrogatepass"):
        # Shown in ASCII: two payees that differ may look the same.
        return Refusal(
            "mandate.payee",
            f"{name} is for payee {mandate.payee!a}, this is {payment.payee[:256]!a}",
            "pay exactly that payee, or sign a mandate for the other",
        )
    if mandate.currency != payment.currency:
        return Refusal(
            "mandate.currency",
            f"{name} is in {mandate.currency}, this is in {payment.currency[:12]!a}",
            f"pay in {mandate.currency}",
        )
    if payment.amount_minor <= 0:
        return Refusal("mandate.amount", f"{payment.amount_minor} is no amount", "pay 1 or more minor units")
    if mandate.amount_minor is not None and payment.amount_minor != mandate.amount_minor:
        return Refusal(
            "mandate.amount",
            f"{name} is for exactly {mandate.amount_minor}, this is {payment.amount_minor} minor units",
            f"pay {mandate.amount_minor}",
        )
    if payment.amount_minor > mandate.max_minor:
        return Refusal(
            "mandate.amount",
            f"{name} allows at most {mandate.max_minor}, this is {payment.amount_minor} minor units",
            "pay less, or sign a mandate for that much",
        )
    if mandate.cart_sha256 != cart_sha256:
        found = "no cart" if cart_sha256 is None else f"a cart with digest {cart_sha256[:12]}"
        wanted = "no cart" if mandate.cart_sha256 is None else f"the cart with digest {mandate.cart_sha256[:12]}"
        return Refusal(
            "mandate.cart", f"{name} is for {wanted}, this is {found}", "pay that cart, or sign one for this"
        )
    return None


def check_rules(rules: PayRules, payment: Payment, paid_minor: int) -> Refusal | None:
    """What in the policy does not allow `payment`, when the run has paid `paid_minor` before; `None` when nothing does."""
    if payment.currency != rules.currency:
        return Refusal("pay.currency", f"the policy pays in {rules.currency}", f"pay in {rules.currency}")
    payee = next(
        (p for p in rules.payees if p.account.encode() == payment.payee.encode("utf-8", "surrogatepass")), None
    )
    if payee is None:
        return Refusal(
            "pay.payee",
            f"the policy has no payee {payment.payee[:256]!a}",
            "add it to the policy's [pay] payees, byte by byte",
        )
    cap = rules.cap_minor if payee.cap_minor is None else min(rules.cap_minor, payee.cap_minor)
    if payment.amount_minor > cap:
        return Refusal(
            "pay.cap",
            f"{payment.amount_minor} minor units are over the policy's cap of {cap}",
            "raise cap_minor in [pay]",
        )
    if paid_minor + payment.amount_minor > rules.total_minor:
        return Refusal(
            "pay.total",
            f"{paid_minor} of {rules.total_minor} minor units of this run are paid or reserved, this is"
            f" {payment.amount_minor} more",
            "raise total_minor in [pay]",
        )
    return None
