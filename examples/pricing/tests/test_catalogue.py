import pytest

from pricing.catalogue import Catalogue, Product, Tier

CSV = """\
sku,name,price,grams,tiers
ASSAM,"Assam, 250 g",8.90,270,5:7.90 20:6.90
gift-25,Gift card 25,25,,
"""


@pytest.mark.parametrize(("quantity", "price"), [(1, 890), (4, 890), (5, 790), (19, 790), (20, 690), (99, 690)])
def test_a_tier_begins_at_its_quantity(assam: Product, quantity: int, price: int) -> None:
    assert assam.unit_price(quantity) == price


def test_a_tier_never_makes_it_dearer() -> None:
    odd = Product("odd", "Odd", 500, grams=1, tiers=(Tier(10, 600),))
    assert odd.unit_price(10) == 500


def test_products_are_found_by_number_in_any_case(catalogue: Catalogue) -> None:
    assert catalogue["ASSAM"].name == "Assam, 250 g"


def test_a_number_is_used_once(assam: Product) -> None:
    with pytest.raises(ValueError, match="two products"):
        Catalogue([assam, assam])


def test_products_are_read_from_csv() -> None:
    catalogue = Catalogue.from_csv(CSV.splitlines())
    assert len(catalogue) == 2
    assert catalogue["assam"].tiers == (Tier(5, 790), Tier(20, 690))
    assert catalogue["gift-25"].is_gift_card
    assert catalogue["gift-25"].tax_percent == 0
