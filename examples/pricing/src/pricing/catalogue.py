"""The products, their weights and their prices by quantity."""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from pricing.money import parse_cents

STANDARD_TAX = 19
REDUCED_TAX = 7


@dataclass(frozen=True)
class Tier:
    """From `quantity` on, a unit costs `unit_cents`."""

    quantity: int
    unit_cents: int


@dataclass(frozen=True)
class Product:
    sku: str
    name: str
    unit_cents: int
    grams: int = 0
    tax_percent: int = REDUCED_TAX
    tiers: tuple[Tier, ...] = field(default=())

    @property
    def is_gift_card(self) -> bool:
        return self.grams == 0

    def unit_price(self, quantity: int) -> int:
        """The cheapest price that this quantity is entitled to."""
        price = self.unit_cents
        for tier in self.tiers:
            if quantity >= tier.quantity:
                price = min(price, tier.unit_cents)
        return price


class Catalogue:
    def __init__(self, products: Iterable[Product]) -> None:
        self._products: dict[str, Product] = {}
        for product in products:
            if product.sku in self._products:
                raise ValueError(f"two products with the number {product.sku!r}")
            self._products[product.sku] = product

    def __getitem__(self, sku: str) -> Product:
        return self._products[sku.lower()]

    def __iter__(self) -> Iterator[Product]:
        return iter(self._products.values())

    def __len__(self) -> int:
        return len(self._products)

    @classmethod
    def from_csv(cls, lines: Iterable[str]) -> "Catalogue":
        """Columns `sku,name,price,grams,tiers`; tiers are written `10:4.50 50:3.90`."""
        return cls(_product(row) for row in csv.DictReader(lines))


def _product(row: dict[str, str]) -> Product:
    grams = int(row["grams"] or 0)
    return Product(
        sku=row["sku"].strip().lower(),
        name=row["name"].strip(),
        unit_cents=parse_cents(row["price"]),
        grams=grams,
        tax_percent=REDUCED_TAX if grams else 0,
        tiers=tuple(_tier(text) for text in (row["tiers"] or "").split()),
    )


def _tier(text: str) -> Tier:
    quantity, _, price = text.partition(":")
    return Tier(int(quantity), parse_cents(price))
