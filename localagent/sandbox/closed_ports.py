"""What a command that failed in the sandbox may have missed, read from what it printed."""

from __future__ import annotations

import re
from collections.abc import Sequence

_REFUSED = re.compile(r"refused|ECONNREFUSED|permission denied|EACCES", re.I)
# "127.0.0.1:5432" (Go, node, redis), 'at "localhost" (127.0.0.1), port 5432' (Postgres),
# "host='localhost', port=5432" (urllib3).
_PLACE = re.compile(
    r"(?:127\.0\.0\.1|localhost|\[?::1\]?)['\")]{0,2}"
    r"(?::|(?: \([^)\n]{1,40}\))?,? port[ =])(\d{4,5})\b"
)


def closed_port(output: str, ports: Sequence[int]) -> str:
    """What to do where a command could not reach a server of this machine, in one line, or "";
    `ports` are those that are allowed."""
    for line in output.splitlines():
        found = _PLACE.search(line)
        if found and _REFUSED.search(line) and 1024 <= (port := int(found[1])) < 1 << 16:
            if port in ports:
                return ""
            return (
                f"commands cannot reach this machine's port {port}; to allow it: "
                f"localagent config set sandbox_ports {','.join(map(str, (*ports, port)))}"
            )
    return ""
