import pytest

from pricing.catalogue import Product
from pricing.order import Order
from pricing.shipping import UnknownZone, missing_for_free_shipping, parcel_cost, shipping_cost


@pytest.mark.parametrize(
    ("zone", "grams", "cents"),
    [
        ("domestic", 500, 490),
        ("domestic", 2000, 490),
        ("domestic", 2001, 590),
        ("domestic", 4000, 690),
        ("neighbours", 1000, 990),
        ("neighbours", 3500, 1590),
        ("world", 1, 1990),
    ],
)
def test_a_parcel_by_zone_and_weight(zone: str, grams: int, cents: int) -> None:
    assert parcel_cost(zone, grams) == cents


def test_an_unknown_zone_is_named() -> None:
    with pytest.raises(UnknownZone, match="'moon'"):
        parcel_cost("moon", 100)


def test_a_small_order_pays(assam: Product) -> None:
    assert shipping_cost(Order().with_line(assam)) == 490


def test_a_large_order_is_free(sencha: Product) -> None:
    assert shipping_cost(Order().with_line(sencha, 5)) == 0


def test_free_begins_at_the_limit(sencha: Product) -> None:
    assert shipping_cost(Order().with_line(sencha, 4)) == 0


def test_gift_cards_are_sent_by_mail(gift_card: Product) -> None:
    assert shipping_cost(Order().with_line(gift_card)) == 0


def test_what_is_missing_for_free_shipping(assam: Product, sencha: Product) -> None:
    assert missing_for_free_shipping(Order().with_line(assam)) == 5000 - 890
    assert missing_for_free_shipping(Order().with_line(sencha, 4)) == 0
