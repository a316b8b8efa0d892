"""Sums over many pieces of work."""

from collections.abc import Iterable
from datetime import date
from decimal import ROUND_HALF_UP, Decimal

from timesheet.work import Work


def since(works: Iterable[Work], first: date) -> list[Work]:
    """The pieces of work of the day `first` and later."""
    return [work for work in works if work.day >= first]


def totals(works: Iterable[Work], by: str = "project") -> dict[str, int]:
    """The minutes of each project or of each day, sorted by name."""
    sums: dict[str, int] = {}
    for work in works:
        key = work.project if by == "project" else work.day.isoformat()
        sums[key] = sums.get(key, 0) + work.minutes
    return dict(sorted(sums.items()))


def clock(minutes: int) -> str:
    """Minutes as hours and minutes: 270 is "4:30"."""
    return f"{minutes // 60}:{minutes % 60:02d}"


def table(sums: dict[str, int]) -> str:
    """The sums as a table with a total."""
    rows = [*sums.items(), ("total", sum(sums.values()))]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {clock(minutes):>7}" for name, minutes in rows)


def invoice(works: Iterable[Work], project: str, rate: Decimal) -> Decimal:
    """What a project owes at `rate` an hour, to the cent."""
    minutes = sum(work.billable_minutes for work in works if work.project == project)
    return (rate * minutes / 60).quantize(Decimal("0.01"), ROUND_HALF_UP)
