"""Recognize loopback addresses: 127.0.0.0/8, ::1, and 127.0.0.0/8 inside IPv6.

No module is imported at the top, because the sandbox launcher imports this module at every start.
"""

from __future__ import annotations

LOOPBACK4 = bytes((127, 0, 0, 1))
LOOPBACK6 = bytes((*[0] * 15, 1))
_MAPPED = bytes((*[0] * 10, 0xFF, 0xFF))  # the prefix of an IPv4 address inside an IPv6 one


def is_loopback(address: str) -> bool:
    """Whether `address`, in text, is a loopback address; False for a name, even `localhost`."""
    import socket  # slow to import

    address = address.partition("%")[0]  # without an IPv6 scope
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            return is_packed_loopback(socket.inet_pton(family, address))
        except (OSError, ValueError):  # an address of the other family, or no address
            continue
    return False


def is_packed_loopback(address: bytes) -> bool:
    """Whether an address of 4 or 16 bytes in network order is a loopback address."""
    if len(address) == 4:
        return address[0] == 127
    return address == LOOPBACK6 or (address[:12] == _MAPPED and address[12] == 127)
