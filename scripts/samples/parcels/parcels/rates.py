"""The price list. All prices are in cents, all weights in kilograms."""

BASE = {"near": 390, "far": 590, "abroad": 1290}
PER_KILO = {"near": 20, "far": 35, "abroad": 110}
HEAVY = 20.0
HEAVY_FEE = 800


def base_price(zone: str) -> int:
    """The price of a parcel without its weight."""
    if zone not in BASE:
        raise ValueError(f"unknown zone: {zone}")
    return BASE[zone]


def weight_price(weight: float, zone: str) -> int:
    """What the weight adds to the price."""
    if weight <= 0:
        raise ValueError("a parcel has a weight")
    return round(weight * PER_KILO[zone])
