from datetime import date

import pytest

from pricing.catalogue import Product
from pricing.order import Order
from pricing.voucher import Voucher, VoucherRefused, redeem

TODAY = date(2026, 3, 2)


def test_a_percentage(sencha: Product) -> None:
    order = redeem(Order().with_line(sencha, 2), Voucher("SPRING", percent=10), TODAY)
    assert order.goods_total == 2250
    assert order.codes == ("SPRING",)


def test_an_amount_takes_no_more_than_there_is(sencha: Product) -> None:
    order = redeem(Order().with_line(sencha), Voucher("BIG", cents=5000), TODAY)
    assert order.reduction == 1250
    assert order.goods_total == 0


def test_the_second_counts_on_what_the_first_left(sencha: Product) -> None:
    order = redeem(Order().with_line(sencha, 4), Voucher("FIVE", cents=500), TODAY)
    assert redeem(order, Voucher("SPRING", percent=10), TODAY).reduction == 500 + 450


def test_it_is_redeemed_once(sencha: Product) -> None:
    voucher = Voucher("SPRING", percent=10)
    order = redeem(Order().with_line(sencha), voucher, TODAY)
    with pytest.raises(VoucherRefused, match="already"):
        redeem(order, voucher, TODAY)


@pytest.mark.parametrize(("until", "valid"), [(TODAY, True), (date(2026, 3, 1), False), (None, True)])
def test_its_last_day_counts(until: date | None, valid: bool) -> None:
    assert Voucher("SPRING", percent=10, until=until).is_valid(TODAY) is valid


def test_goods_for_less_than_its_minimum_are_refused(sencha: Product) -> None:
    with pytest.raises(VoucherRefused, match="2000"):
        redeem(Order().with_line(sencha), Voucher("SPRING", percent=10, minimum=2000), TODAY)


def test_it_is_a_percentage_or_an_amount() -> None:
    with pytest.raises(ValueError, match="one of them"):
        Voucher("BOTH", percent=10, cents=100)
