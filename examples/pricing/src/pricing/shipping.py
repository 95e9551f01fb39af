"""Shipping: by zone and weight, free for larger orders."""

from dataclasses import dataclass

from pricing.order import Order

FREE_FROM = 5000


@dataclass(frozen=True)
class Rate:
    """`base` up to `included_grams`, then `step` for each further kilogram begun."""

    base: int
    step: int
    included_grams: int = 1000


RATES = {
    "domestic": Rate(base=490, step=100, included_grams=2000),
    "neighbours": Rate(base=990, step=200),
    "world": Rate(base=1990, step=650),
}


class UnknownZone(Exception):
    pass


def shipping_cost(order: Order) -> int:
    """What the customer pays for shipping, in cents."""
    if order.gift_cards_only:
        return 0
    if order.subtotal >= FREE_FROM:
        return 0
    return parcel_cost(order.zone, order.grams)


def parcel_cost(zone: str, grams: int) -> int:
    """What a parcel costs us, whoever pays for it."""
    if zone not in RATES:
        raise UnknownZone(f"no shipping to {zone!r}; known are {', '.join(sorted(RATES))}")
    rate = RATES[zone]
    over = max(0, grams - rate.included_grams)
    return rate.base + rate.step * -(-over // 1000)


def missing_for_free_shipping(order: Order) -> int:
    """How much more the customer has to spend; 0 when shipping is free already."""
    if order.gift_cards_only:
        return 0
    return max(0, FREE_FROM - order.goods_total)
