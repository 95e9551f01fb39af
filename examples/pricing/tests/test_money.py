import pytest

from pricing.money import format_cents, included_tax, parse_cents, percent_of


@pytest.mark.parametrize(("cents", "percent", "share"), [(1000, 10, 100), (995, 10, 100), (994, 10, 99), (0, 50, 0)])
def test_percent_rounds_half_up(cents: int, percent: int, share: int) -> None:
    assert percent_of(cents, percent) == share


@pytest.mark.parametrize(("gross", "percent", "tax"), [(1190, 19, 190), (1070, 7, 70), (100, 19, 16), (0, 19, 0)])
def test_included_tax(gross: int, percent: int, tax: int) -> None:
    assert included_tax(gross, percent) == tax


@pytest.mark.parametrize(("text", "cents"), [("12.50", 1250), ("12,5", 1250), (" 12 ", 1200), ("-0.05", -5)])
def test_amounts_are_read(text: str, cents: int) -> None:
    assert parse_cents(text) == cents


@pytest.mark.parametrize("text", ["", "twelve", "1.234", "1.2.3"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not an amount"):
        parse_cents(text)


@pytest.mark.parametrize(("cents", "text"), [(5, "0.05"), (123456, "1 234.56"), (-1250, "-12.50"), (0, "0.00")])
def test_amounts_are_written(cents: int, text: str) -> None:
    assert format_cents(cents) == text
