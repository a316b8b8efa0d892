"""Time stamps as localagent writes them: UTC, in the form of ISO 8601."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal


def timestamp(precision: Literal["seconds", "milliseconds"] = "milliseconds") -> str:
    """The present time: "2026-11-28T14:35:31.208Z"."""
    return datetime.now(UTC).isoformat(timespec=precision).replace("+00:00", "Z")
