"""`localagent models scan`: the GGUF files that are on this machine already.

Only headers are read, nothing is written, and nothing is asked of the programs whose files they
are. Each file is found once, whatever number of names and links it has.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from localagent.models import gguf
from localagent.models.catalog import lock, store
from localagent.models.catalog.scan_files import Candidate, Place, Unreadable, candidates, places


@dataclass(frozen=True, slots=True)
class Found:
    """A file that was found. `path` is where, and `names` are what its owner calls it.

    `header` is None where it cannot be read as GGUF. `unusable` says why localagent cannot use
    it, or is "". `pinned` is the id of the lock's model whose file this is, and `same_as` that of
    a model of the lock that has the same bytes but is not this file; "" for none.
    """

    path: Path
    owner: str
    names: tuple[str, ...]
    size: int
    header: gguf.Header | None
    unusable: str = ""
    pinned: str = ""
    same_as: str = ""


@dataclass(frozen=True, slots=True)
class Scan:
    """What was found, in the order of the places; the places that exist; and a line for each one
    of which something could not be read."""

    found: tuple[Found, ...]
    looked_at: tuple[Place, ...]
    notes: tuple[str, ...]


def scan(folders: Sequence[Path] = ()) -> Scan:
    """Look at the places that programs use and at `folders` (or files) of the user's.

    Raises LockError where the lock cannot be read.
    """
    given = [Place("given", folder.expanduser(), given=True) for folder in folders]
    found: dict[tuple[int, int], Found] = {}
    looked_at, notes = [], []
    pins = _Pins(lock.load())
    for place in [*places(), *given]:
        unreadable = Unreadable()
        for candidate in candidates(place, unreadable):
            try:
                _add(found, candidate, place, pins)
            except OSError as error:
                unreadable.add(candidate.path, error)
        if os.path.exists(place.path):  # noqa: PTH110  # this one raises nothing
            looked_at.append(place)
        if line := unreadable.line():
            notes.append(line)
    return Scan(tuple(found.values()), tuple(looked_at), tuple(notes))


def _add(
    found: dict[tuple[int, int], Found], candidate: Candidate, place: Place, pins: _Pins
) -> None:
    """Note a candidate, or its other name where the file is known. Raises OSError."""
    status = candidate.path.stat()
    key = (status.st_dev, status.st_ino)
    known = found.get(key)
    if known is not None:
        if candidate.name not in known.names:
            found[key] = replace(known, names=(*known.names, candidate.name))
        return
    header, unusable = None, ""
    try:
        header = gguf.read(candidate.path)
        unusable = header.unusable
    except gguf.GgufError as error:
        unusable = str(error)
    pinned = pins.by_file.get(key, "")
    found[key] = Found(
        path=candidate.path,
        owner=place.owner,
        names=(candidate.name,),
        size=status.st_size,
        header=header,
        unusable=unusable,
        pinned=pinned,
        same_as="" if pinned else pins.by_hash.get(candidate.sha256, ""),
    )


class _Pins:
    """The lock's models, by the file that they are and by their hash."""

    def __init__(self, known: lock.Lock) -> None:
        files = [entry for entry in known.entries if entry.sha256]  # Ollama's own have none
        self.by_hash = {entry.sha256: entry.id for entry in files}
        self.by_file: dict[tuple[int, int], str] = {}
        for entry in files:
            try:
                status = store.location(entry).stat()
            except OSError:
                continue
            self.by_file[status.st_dev, status.st_ino] = entry.id
