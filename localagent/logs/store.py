"""Digests on disk: one compressed JSON file for each set of sources, in the cache folder.

The name is made from the paths, sizes and times of the sources, so a changed file is read anew.
"""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from localagent.core.atomic import replacing
from localagent.core.paths import cache_dir, private
from localagent.logs.digest import LogDigest, Progress, Span, make_digest
from localagent.logs.sources import STDIN, Source, open_sources
from localagent.logs.templates import LogLine, Template

_VERSION = 2
_KEPT = 20
"""Digests that the cache folder keeps, the latest; each takes up to a few megabytes."""


def digest_of(
    paths: Sequence[str], progress: Progress = lambda _done, _total: None, root: Path = Path()
) -> LogDigest:
    """The digest of paths below `root`, from the disk if they are unchanged. Raises UsageError."""
    sources = open_sources(paths, root)
    if any(source.path == STDIN for source in sources):
        return make_digest(sources, progress)
    file = _file(sources)
    digest = _load(file, sources)
    if digest is None:
        digest = make_digest(sources, progress)
        with suppress(OSError):  # a full or read-only disk: the digest is made again next time
            _save(file, digest)
    return digest


def _file(sources: Sequence[Source]) -> Path:
    text = "\n".join([str(_VERSION), *(source.identity for source in sources)])
    return cache_dir() / "logs" / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.json.gz"


def _save(file: Path, digest: LogDigest) -> None:
    private(file.parent)
    data = {
        "templates": [dataclasses.astuple(template) for template in digest.templates],
        "spans": [dataclasses.astuple(span) for span in digest.spans],
    }
    with replacing(file) as raw, gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=1) as packed:
        packed.write(json.dumps(data).encode())
    files = sorted(file.parent.glob("*.json.gz"), key=lambda path: path.stat().st_mtime)
    for old in files[:-_KEPT]:
        old.unlink(missing_ok=True)


def _load(file: Path, sources: Sequence[Source]) -> LogDigest | None:
    """The saved digest; None if there is none, or if it is damaged."""
    try:
        data = json.loads(gzip.decompress(file.read_bytes()))
        templates = [_template(row) for row in data["templates"]]
        spans = [Span(*row) for row in data["spans"]]
    except (OSError, EOFError, ValueError, KeyError, TypeError):
        return None
    return LogDigest(list(sources), templates, spans)


def _template(row: list[object]) -> Template:
    template = Template(*row)  # type: ignore[arg-type]
    template.minutes = {int(minute): count for minute, count in template.minutes.items()}
    template.samples = [LogLine(*place) for place in template.samples]  # type: ignore[misc]
    return template
