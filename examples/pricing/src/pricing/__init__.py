"""What an order of the tea shop costs."""

from pricing.catalogue import Catalogue, Product, Tier
from pricing.invoice import invoice
from pricing.money import format_cents, parse_cents
from pricing.order import Line, Order
from pricing.shipping import shipping_cost
from pricing.voucher import Voucher, redeem

__all__ = [
    "Catalogue",
    "Line",
    "Order",
    "Product",
    "Tier",
    "Voucher",
    "format_cents",
    "invoice",
    "parse_cents",
    "redeem",
    "shipping_cost",
]
