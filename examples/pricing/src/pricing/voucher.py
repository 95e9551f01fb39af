"""Vouchers: a percentage or an amount off the goods."""

from dataclasses import dataclass, replace
from datetime import date

from pricing.money import percent_of
from pricing.order import Order


@dataclass(frozen=True)
class Voucher:
    """Exactly one of `percent` and `cents` is set. `until` is the last day on which it is valid."""

    code: str
    percent: int = 0
    cents: int = 0
    minimum: int = 0
    until: date | None = None

    def __post_init__(self) -> None:
        if bool(self.percent) == bool(self.cents):
            raise ValueError(f"voucher {self.code!r} needs a percentage or an amount, one of them")

    def is_valid(self, today: date) -> bool:
        return self.until is None or today <= self.until

    def value(self, cents: int) -> int:
        """What it takes off goods of this value."""
        off = percent_of(cents, self.percent) if self.percent else self.cents
        return min(off, cents)


class VoucherRefused(Exception):
    pass


def redeem(order: Order, voucher: Voucher, today: date) -> Order:
    """The order with the voucher taken off; later vouchers count on what the earlier ones left."""
    if voucher.code in order.codes:
        raise VoucherRefused(f"{voucher.code} was redeemed already")
    if not voucher.is_valid(today):
        raise VoucherRefused(f"{voucher.code} was valid until {voucher.until}")
    if order.subtotal < voucher.minimum:
        raise VoucherRefused(f"{voucher.code} needs goods for {voucher.minimum} cents")
    off = voucher.value(order.goods_total)
    return replace(order, codes=(*order.codes, voucher.code), reduction=order.reduction + off)
