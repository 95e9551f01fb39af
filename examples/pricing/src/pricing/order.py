"""An order: what was chosen, where it goes, and what was taken off."""

from dataclasses import dataclass, field, replace

from pricing.catalogue import Product


@dataclass(frozen=True)
class Line:
    product: Product
    quantity: int

    @property
    def cents(self) -> int:
        return self.product.unit_price(self.quantity) * self.quantity

    @property
    def grams(self) -> int:
        return self.product.grams * self.quantity


@dataclass(frozen=True)
class Order:
    """`zone` is where the parcel goes; `codes` are the vouchers that were redeemed, `reduction` what they take off."""

    zone: str = "domestic"
    lines: tuple[Line, ...] = field(default=())
    codes: tuple[str, ...] = field(default=())
    reduction: int = 0

    @property
    def subtotal(self) -> int:
        """The goods at their prices."""
        return sum(line.cents for line in self.lines)

    @property
    def goods_total(self) -> int:
        """What the customer pays for the goods."""
        return max(0, self.subtotal - self.reduction)

    @property
    def grams(self) -> int:
        return sum(line.grams for line in self.lines)

    @property
    def gift_cards_only(self) -> bool:
        return all(line.product.is_gift_card for line in self.lines)

    def with_line(self, product: Product, quantity: int = 1) -> "Order":
        """The same product twice becomes one line, so that its quantities count together."""
        if quantity <= 0:
            raise ValueError(f"a line needs a quantity of 1 or more, not {quantity}")
        others = tuple(line for line in self.lines if line.product.sku != product.sku)
        before = sum(line.quantity for line in self.lines if line.product.sku == product.sku)
        return replace(self, lines=(*others, Line(product, before + quantity)))

    def without(self, sku: str) -> "Order":
        return replace(self, lines=tuple(line for line in self.lines if line.product.sku != sku))
