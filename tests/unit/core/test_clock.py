"""Time stamps have one form."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from localagent.core.clock import timestamp


def test_time_stamps_are_utc_and_say_so() -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", timestamp())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", timestamp("seconds"))
    age = datetime.now(UTC) - datetime.fromisoformat(timestamp())
    assert abs(age.total_seconds()) < 60
