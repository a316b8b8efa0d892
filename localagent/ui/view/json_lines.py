"""The event stream as NDJSON: one event a line, as `events.to_dict` gives it."""

from __future__ import annotations

import json
from typing import TextIO

from localagent.core.events import Event, to_dict


class JsonLines:
    """Writes each event as one line of ASCII at once, so that a reader never waits for it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def draw(self, event: Event) -> None:
        """Write one event."""
        self._stream.write(json.dumps(to_dict(event)) + "\n")
        self._stream.flush()
