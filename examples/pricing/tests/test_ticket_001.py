"""Ticket 001: goods for 50.00, a voucher over 5.00."""

from pricing.catalogue import Product
from pricing.order import Order
from pricing.shipping import shipping_cost


def test_shipping_is_paid_when_a_voucher_takes_the_order_below_the_limit(sencha: Product) -> None:
    order = Order(codes=("SPRING",), reduction=500).with_line(sencha, 4)
    assert shipping_cost(order) == 490
