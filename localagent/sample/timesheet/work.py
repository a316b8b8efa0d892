"""One piece of work."""

from dataclasses import dataclass
from datetime import date, time

QUARTER = 15


@dataclass(frozen=True)
class Work:
    """What was done on a day: from `start` to `end`, less `pause` minutes."""

    day: date
    start: time
    end: time
    project: str
    pause: int = 0
    note: str = ""

    @property
    def minutes(self) -> int:
        """The minutes worked, without the pause. Work may end after midnight."""
        start = self.start.hour * 60 + self.start.minute
        end = self.end.hour * 60 + self.end.minute
        return end - start - self.pause

    @property
    def billable_minutes(self) -> int:
        """The minutes worked, rounded up to whole quarters of an hour."""
        return -(-self.minutes // QUARTER) * QUARTER
