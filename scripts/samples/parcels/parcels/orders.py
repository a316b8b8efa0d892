"""Orders: several parcels for one customer."""

from dataclasses import dataclass, field

from parcels import rates


@dataclass
class Parcel:
    weight: float
    zone: str = "near"


@dataclass
class Order:
    customer: str
    parcels: list[Parcel] = field(default_factory=list)

    def add(self, parcel: Parcel) -> None:
        self.parcels.append(parcel)

    @property
    def weight(self) -> float:
        return sum(parcel.weight for parcel in self.parcels)


def price(parcel: Parcel) -> int:
    """The price of one parcel in cents."""
    return rates.base_price(parcel.zone) + rates.weight_price(parcel.weight, parcel.zone)


def total(order: Order) -> int:
    """The price of an order in cents."""
    return sum(price(parcel) for parcel in order.parcels)
