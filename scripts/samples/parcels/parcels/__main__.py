"""The command line: `python -m parcels quote WEIGHT --zone ZONE`."""

import argparse

from parcels.orders import Parcel, price


def main(arguments: list[str] | None = None) -> str:
    parser = argparse.ArgumentParser(prog="parcels")
    parser.add_argument("command", choices=["quote"])
    parser.add_argument("weight", type=float)
    parser.add_argument("--zone", default="near")
    options = parser.parse_args(arguments)
    cents = price(Parcel(options.weight, options.zone))
    return f"{cents // 100}.{cents % 100:02d}"


if __name__ == "__main__":
    print(main())
