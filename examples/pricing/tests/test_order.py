import pytest

from pricing.catalogue import Product
from pricing.order import Order


def test_lines_add_up(assam: Product, sencha: Product) -> None:
    order = Order().with_line(assam, 2).with_line(sencha)
    assert order.subtotal == 2 * 890 + 1250
    assert order.grams == 2 * 270 + 120


def test_the_same_product_twice_counts_together(assam: Product) -> None:
    order = Order().with_line(assam, 3).with_line(assam, 2)
    assert len(order.lines) == 1
    assert order.subtotal == 5 * 790


def test_a_line_can_be_taken_out(assam: Product, sencha: Product) -> None:
    assert Order().with_line(assam).with_line(sencha).without("assam").subtotal == 1250


def test_a_quantity_is_positive(assam: Product) -> None:
    with pytest.raises(ValueError, match="1 or more"):
        Order().with_line(assam, 0)


def test_gift_cards_only(assam: Product, gift_card: Product) -> None:
    assert Order().with_line(gift_card).gift_cards_only
    assert not Order().with_line(gift_card).with_line(assam).gift_cards_only


def test_goods_never_cost_less_than_nothing(assam: Product) -> None:
    assert Order(reduction=9999).with_line(assam).goods_total == 0
