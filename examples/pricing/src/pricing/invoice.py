"""The invoice as text, for the parcel and the mail."""

from pricing.money import format_cents, included_tax
from pricing.order import Order
from pricing.shipping import missing_for_free_shipping, shipping_cost

WIDTH = 48


def invoice(order: Order, number: str) -> str:
    rows = [f"Invoice {number}".ljust(WIDTH).rstrip(), "-" * WIDTH]
    for line in order.lines:
        rows.append(_row(f"{line.quantity} x {line.product.name}", line.cents))
    rows.append("-" * WIDTH)
    if order.reduction:
        rows.append(_row("Goods", order.subtotal))
        rows.append(_row(f"Voucher {', '.join(order.codes)}", -order.reduction))
    rows.append(_row("Shipping", shipping_cost(order)))
    rows.append(_row("Total", total(order)))
    for percent, cents in sorted(taxes(order).items()):
        rows.append(_row(f"  tax of {percent}% in it", cents))
    missing = missing_for_free_shipping(order)
    if missing:
        rows.append(f"Only {format_cents(missing)} more and shipping is free.")
    return "\n".join(rows)


def total(order: Order) -> int:
    return order.goods_total + shipping_cost(order)


def taxes(order: Order) -> dict[int, int]:
    """The tax in the goods by its rate; a voucher lowers each line by its share."""
    found: dict[int, int] = {}
    for line in order.lines:
        share = line.cents * order.goods_total // order.subtotal if order.subtotal else 0
        percent = line.product.tax_percent
        if percent:
            found[percent] = found.get(percent, 0) + included_tax(share, percent)
    return found


def _row(label: str, cents: int) -> str:
    amount = format_cents(cents)
    space = WIDTH - len(amount) - 1
    return f"{label[:space].ljust(space)} {amount}"
