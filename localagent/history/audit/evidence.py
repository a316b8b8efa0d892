"""An archive of evidence for an auditor: the audit log of a period, and what it depends on.

The same log gives the same bytes. `sha256sum -c SHA256SUMS` in the unpacked folder checks each
file. A site signs the archive with its own tool and key.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from datetime import date
from importlib import metadata

from localagent.history.audit import log

_FOLDER = "localagent-evidence"


def sessions_between(since: date | None, until: date | None) -> list[str]:
    """Return the ids of the logged sessions that started in the period, which includes both days.

    An id begins with the day on which its session started.
    """
    first = f"{since:%Y%m%d}" if since else ""
    last = f"{until:%Y%m%d}" if until else "99999999"
    return sorted(s.session for s in log.sessions() if first <= s.session[:8] <= last)


def log_files(sessions: list[str]) -> dict[str, bytes]:
    """Return the stored records of the sessions, and the chain of heads, by file name."""
    files = {f"audit/{session}.jsonl": log.raw(session) for session in sessions}
    head = log.audit_dir() / log.HEAD
    return files | ({f"audit/{log.HEAD}": head.read_bytes()} if head.is_file() else {})


def packages() -> bytes:
    """Return the installed packages as a CycloneDX document, sorted by name."""
    found = {(d.metadata["Name"].lower(), d.version) for d in metadata.distributions()}
    components = [
        {"type": "library", "name": name, "version": version, "purl": f"pkg:pypi/{name}@{version}"}
        for name, version in sorted(found)
    ]
    header = {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1}
    return json.dumps(header | {"components": components}, indent=1).encode() + b"\n"


def archive(files: Mapping[str, bytes]) -> bytes:
    """Return an uncompressed tar of the files and their hashes; equal files give equal bytes."""
    rows = [f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(files.items())]
    content = {**files, "SHA256SUMS": "".join(rows).encode()}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, data in sorted(content.items()):
            info = tarfile.TarInfo(f"{_FOLDER}/{name}")
            info.size, info.mode = len(data), 0o600
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()
