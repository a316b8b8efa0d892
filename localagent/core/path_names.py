"""Names of files in messages: a command chooses them, so they may hold any character."""

from __future__ import annotations

from collections.abc import Sequence

MOST = 12
"""Names in a message."""


def printable(name: str) -> str:
    """A name on one line."""
    return name if name.isprintable() else ascii(name)


def listed(names: Sequence[str], most: int = MOST) -> str:
    """The first `most` names, and the number of the others: "a, b and 3 more"."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"
