import pytest

from pricing.catalogue import Catalogue, Product, Tier


@pytest.fixture
def assam() -> Product:
    return Product("assam", "Assam, 250 g", 890, grams=270, tiers=(Tier(5, 790), Tier(20, 690)))


@pytest.fixture
def sencha() -> Product:
    return Product("sencha", "Sencha, 100 g", 1250, grams=120)


@pytest.fixture
def gift_card() -> Product:
    return Product("gift-25", "Gift card 25", 2500, tax_percent=0)


@pytest.fixture
def catalogue(assam: Product, sencha: Product, gift_card: Product) -> Catalogue:
    return Catalogue([assam, sencha, gift_card])
