from pricing.catalogue import Product
from pricing.invoice import WIDTH, invoice, taxes, total
from pricing.order import Order


def test_total_is_goods_and_shipping(assam: Product) -> None:
    assert total(Order().with_line(assam)) == 890 + 490


def test_rows_line_up(assam: Product, sencha: Product) -> None:
    text = invoice(Order().with_line(assam).with_line(sencha, 4), "2026-0042")
    priced = [row for row in text.splitlines() if row.endswith(("0", "3"))]
    assert {len(row) for row in priced} == {WIDTH}
    assert text.startswith("Invoice 2026-0042\n")


def test_a_voucher_is_shown(sencha: Product) -> None:
    text = invoice(Order(codes=("SPRING",), reduction=500).with_line(sencha, 6), "1")
    assert "Voucher SPRING" in text
    assert "-5.00" in text


def test_the_customer_is_told_what_is_missing(assam: Product) -> None:
    assert invoice(Order().with_line(assam), "1").endswith("Only 41.10 more and shipping is free.")
    assert "more and shipping" not in invoice(Order().with_line(assam, 8), "1")


def test_tax_is_shown_by_rate(assam: Product, gift_card: Product) -> None:
    assert taxes(Order().with_line(assam, 2).with_line(gift_card)) == {7: 116}
