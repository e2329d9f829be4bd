from shop.cart import subtotal, total


def test_subtotal_adds_lines():
    assert subtotal([(250, 2), (100, 1)]) == 600


def test_total_adds_tax():
    assert total([(1000, 1)]) == 1200


def test_tax_is_paid_on_the_discounted_price():
    assert total([(1000, 1)], code="HALF") == 600


def test_an_unknown_code_changes_nothing():
    assert total([(1000, 1)], code="NOPE") == 1200
