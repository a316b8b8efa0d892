"""Logs of one JSON object a line, as the text lines that the other modules read.

    {"ts": "2026-11-28T21:23:46Z", "level": "error", "host": "web-1", "msg": "refused", "n": 3}
    2026-11-28T21:23:46Z web-1 app: ERROR refused n=3

journalctl -o json, docker's json-file, zap, bunyan, pino and structlog write such lines.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

_TIME = ("ts", "time", "timestamp", "@timestamp", "t", "asctime", "__REALTIME_TIMESTAMP")
_LEVEL = ("level", "severity", "lvl", "levelname", "log.level", "PRIORITY")
_HOST = ("host", "hostname", "_HOSTNAME", "host.name", "pod", "instance")
_PROGRAM = (
    *("service", "app", "SYSLOG_IDENTIFIER", "_COMM", "service.name", "component", "logger"),
    *("name", "stream"),
)
_MESSAGE = ("msg", "message", "MESSAGE", "log", "event", "text")
_PRIORITY = ("EMERG", "ALERT", "CRIT", "ERROR", "WARNING", "NOTICE", "INFO", "DEBUG")
_BUNYAN = {10: "TRACE", 20: "DEBUG", 30: "INFO", 40: "WARN", 50: "ERROR", 60: "FATAL"}


def plain_lines(lines: Sequence[str]) -> list[str]:
    """Each line as text; a line that is no JSON object stays as it is."""
    return [_plain(line) for line in lines]


def entry_line(entry: dict[str, Any]) -> str:
    """One entry as a line of text: time, host, program, level, message, other fields."""
    rest = dict(entry)
    time = _time(_take(rest, _TIME))
    level = _level(_take(rest, _LEVEL))
    host = _word(_take(rest, _HOST))
    program = _word(_take(rest, _PROGRAM))
    message = str(_take(rest, _MESSAGE) or "").replace("\n", " ").strip()
    fields = [
        f"{key}={str(value).replace(chr(10), ' ')}"
        for key, value in rest.items()
        if key[:1] != "_" and isinstance(value, str | int | float)
    ]
    origin = f"{host or 'localhost'} {program or 'app'}:" if host or program else ""
    return " ".join(part for part in (time, origin, level, message, *fields) if part)


def _plain(line: str) -> str:
    if line[:1] != "{":
        return line
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return line
    return entry_line(entry) if isinstance(entry, dict) else line


def _take(entry: dict[str, Any], keys: Sequence[str]) -> Any:
    return next((entry.pop(key) for key in keys if key in entry), None)


def _word(value: object) -> str:
    return "-".join(str(value).split()) if value else ""


def _time(value: object) -> str:
    """A time as ISO 8601; numbers are seconds, milliseconds, microseconds or nanoseconds."""
    text = str(value or "")
    try:
        seconds = float(text)
    except ValueError:
        return text.replace(" ", "T", 1)
    if not math.isfinite(seconds):
        return ""
    while seconds > 1e11:
        seconds /= 1000
    try:
        when = datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return ""
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _level(value: object) -> str:
    text = str(value or "")
    if not (text.isascii() and text.isdigit() and len(text) < 3):
        return text.upper()
    number = int(text)
    if number in _BUNYAN:
        return _BUNYAN[number]
    return _PRIORITY[number] if number < len(_PRIORITY) else text
