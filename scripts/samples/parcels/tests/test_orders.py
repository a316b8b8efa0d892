from parcels.orders import Order, Parcel, price, total


def test_a_parcel_costs_its_zone_and_its_weight():
    assert price(Parcel(10, "near")) == 590
    assert price(Parcel(2, "abroad")) == 1510


def test_an_empty_order_costs_nothing():
    assert total(Order("Ada")) == 0


def test_an_order_adds_its_parcels():
    order = Order("Ada")
    order.add(Parcel(10))
    order.add(Parcel(1, "far"))
    assert order.weight == 11
    assert total(order) == 590 + 625


# New: the price of a heavy parcel has the fee.


def test_a_heavy_parcel_costs_more():
    assert price(Parcel(20, "near")) == 390 + 400 + 800


def test_an_order_adds_the_fees():
    assert total(Order("Ada", [Parcel(25, "far"), Parcel(1, "far")])) == 590 + 875 + 800 + 625
