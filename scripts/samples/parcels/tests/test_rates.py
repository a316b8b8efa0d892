import pytest

from parcels import rates


def test_each_zone_has_a_price():
    assert [rates.base_price(zone) for zone in ("near", "far", "abroad")] == [390, 590, 1290]


def test_an_unknown_zone_is_refused():
    with pytest.raises(ValueError, match="unknown zone: moon"):
        rates.base_price("moon")


def test_weight_costs_by_the_kilo():
    assert rates.weight_price(10, "near") == 200
    assert rates.weight_price(0.5, "far") == 18


def test_a_parcel_without_weight_is_refused():
    with pytest.raises(ValueError):
        rates.weight_price(0, "near")


# New: parcels of 20 kg and more cost a fee.


def test_a_light_parcel_has_no_fee():
    assert rates.heavy_fee(19.9) == 0


def test_a_heavy_parcel_has_a_fee():
    assert rates.heavy_fee(20.0) == 800
    assert rates.heavy_fee(45) == 800
