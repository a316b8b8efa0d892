"""Verification: whether a model file is the one that the lock pins.

A file is hashed when it is installed, and again when its size, times or inode differ from those at
the last hash. `verified.json` in the state folder has these. So a start reads no gigabyte, and an
altered file is found before each load, also in the middle of a session. The header is read each
time, for the hash of the chat template. A mismatch is refused and never repaired: the user decides.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from pathlib import Path
from typing import BinaryIO, Literal

from localagent.core.atomic import write_atomic
from localagent.core.errors import ModelFileError, ModelNotInstalled
from localagent.core.paths import models_dir, private, state_dir
from localagent.models import gguf
from localagent.models.catalog.download import (
    CHUNK,
    Meter,
    OnProgress,
)
from localagent.models.catalog.lock import LocalFile, ModelEntry


def check_template(entry: ModelEntry, path: Path, hint: str) -> None:
    """Raise ModelFileError if the lock pins another chat template than the file's.

    An entry of an older localagent has no such hash; then the file's hash alone counts.
    """
    if not entry.chat_template_sha256:
        return
    found = _template(path)
    if found is None:
        raise ModelFileError(f"{path} is not a GGUF file that can be read", hint)
    if found != entry.chat_template_sha256:
        raise ModelFileError(
            f"{path} is the pinned file, but models.lock pins another chat template for "
            f"{entry.id}: the file's sha256 is {found or 'none'}, not {entry.chat_template_sha256}",
            f"chat_template_sha256 in models.lock was changed; {hint}",
        )


def altered(entry: ModelEntry, path: Path, digest: str, hint: str) -> ModelFileError:
    """The error for a file whose hash `digest` is not the pinned one."""
    return ModelFileError(
        f"{path} is not what models.lock pins: its sha256 is {digest}, not {entry.sha256}; "
        + _changed(entry, path),
        hint,
    )


def resized(entry: ModelEntry, path: Path, size: int, hint: str) -> ModelFileError:
    """The error for a file whose `size` in bytes is not the pinned one."""
    return ModelFileError(
        f"{path} has {size:,} bytes; models.lock pins {entry.bytes:,}; {_changed(entry, path)}",
        hint,
    )


def _changed(entry: ModelEntry, path: Path) -> str:
    """Which part of a file differs from the pinned one."""
    found, pinned = _template(path), entry.chat_template_sha256
    if found is None:
        return "it is no GGUF file that can be read"
    if not pinned:
        return f"its chat template's sha256 is {found or 'none'}, and none is pinned"
    if found == pinned:
        return "its chat template is the pinned one, so its weights or other metadata are not"
    return f"its chat template was changed: its sha256 is {found or 'none'}, not {pinned}"


def _template(path: Path) -> str | None:
    try:
        return gguf.read(path).chat_template_sha256
    except (gguf.GgufError, OSError):
        return None


State = Literal["installed", "unverified", "incomplete", "altered", "missing", "served"]


_Fingerprint = list[int | str]


def location(entry: ModelEntry) -> Path:
    """The path of the model's file: in the model folder, or the place where it was pinned."""
    installed = models_dir() / entry.file
    if not installed.exists():
        for source in entry.sources:
            if isinstance(source, LocalFile):
                return Path(source.path)
    return installed


def locations(entry: ModelEntry) -> tuple[Path, ...]:
    """The paths of all files of the model, in their order."""
    first = location(entry)
    return (first, *(first.with_name(part.file) for part in entry.parts))


def pinned_in_place(entry: ModelEntry) -> bool:
    """Whether the model's file is not in the model folder but belongs to the user."""
    return location(entry) != models_dir() / entry.file


def state(entry: ModelEntry) -> State:
    """The state of the model's files, by their sizes and times, without reading them.

    "served" means that a server keeps the model.
    """
    if not entry.file:
        return "served"
    order: list[State] = ["altered", "missing", "incomplete", "unverified", "installed"]
    states = (_state(*each) for each in zip(entry.files, locations(entry), strict=True))
    return min(states, key=order.index)


def _state(entry: ModelEntry, path: Path) -> State:
    try:
        status = path.stat()
    except OSError:
        left = models_dir() / f"{entry.file}.partial"
        return "incomplete" if left.exists() else "missing"
    if status.st_size != entry.bytes:
        return "altered"
    seen = _record_of(path) == fingerprint(status, entry.sha256)
    return "installed" if seen else "unverified"


def path_for(entry: ModelEntry, deep: bool = False, report: OnProgress | None = None) -> Path:
    """Return the model's first file; all files are verified.

    `deep` reads all of them, even if nothing seems changed.

    Raises ModelNotInstalled for a missing file, and ModelFileError for another one.
    """
    paths = locations(entry)
    for part, path in zip(entry.files, paths, strict=True):
        _check(part, path, None if deep else _record_of(path), report)
    check_template(entry, paths[0], _replace_hint(entry))
    return paths[0]


class VerifiedFile:
    """A model's files, verified as by `path_for`; `again` verifies them before each load.

    `path` is the first file, `parts` are the others.
    """

    def __init__(self, entry: ModelEntry) -> None:
        places = locations(entry)
        self._files = entry.files
        self._seen = [
            _check(part, place, _record_of(place), None)
            for part, place in zip(self._files, places, strict=True)
        ]
        check_template(entry, places[0], _replace_hint(entry))
        self.path, *parts = (place.resolve() for place in places)
        self.parts = tuple(parts)

    def again(self) -> None:
        """Verify the files again; one is read if its size, times or inode changed.

        Raises ModelNotInstalled, ModelFileError.
        """
        paths = (self.path, *self.parts)
        known = zip(self._files, paths, self._seen, strict=True)
        self._seen = [_check(part, path, seen, None) for part, path, seen in known]


def _check(
    entry: ModelEntry, path: Path, seen: _Fingerprint | None, report: OnProgress | None
) -> _Fingerprint:
    """Verify the file at `path` and return its fingerprint; an equal `seen` spares the reading.

    Raises ModelNotInstalled, ModelFileError.
    """
    try:
        status = path.stat()
    except FileNotFoundError as error:
        raise _missing(entry, path) from error
    except OSError as error:
        raise ModelFileError(f"cannot read {path}: {error.strerror or error}") from error
    _check_size(entry, path, status)
    now = fingerprint(status, entry.sha256)
    if now == seen:
        return now
    after, digest = _hashed(path, report)
    if digest != entry.sha256:
        raise altered(entry, path, digest, _replace_hint(entry))
    return fingerprint(after, digest)


def file_sha256(path: Path) -> str:
    """The sha256 of a file; it is read only if it changed since it was last read.

    Raises ModelFileError for an unreadable file.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise ModelFileError(f"cannot read {path}: {error.strerror or error}") from error
    seen = _record_of(path)
    if seen and seen == fingerprint(status, str(seen[-1])):
        return str(seen[-1])
    return hash_file(path)[1]


def hash_file(path: Path, report: OnProgress | None = None) -> tuple[int, str]:
    """Return the size and sha256 of a file, and record them for `path_for`.

    Raises ModelFileError for an unreadable file and for one that changes meanwhile.
    """
    after, digest = _hashed(path, report)
    return after.st_size, digest


def _hashed(path: Path, report: OnProgress | None) -> tuple[os.stat_result, str]:
    """As `hash_file`, with the file's size and times."""
    try:
        with path.open("rb") as stream:
            before = os.fstat(stream.fileno())
            digest = _digest(stream, before.st_size, report)
            after = os.fstat(stream.fileno())
    except OSError as error:
        raise ModelFileError(f"cannot read {path}: {error.strerror or error}") from error
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise ModelFileError(f"{path} changed while it was read", "wait until it is complete")
    record(path, fingerprint(after, digest))
    return after, digest


def _check_size(entry: ModelEntry, path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise ModelFileError(f"{path} is not a regular file", "put the model's file there")
    if status.st_size != entry.bytes:
        raise resized(entry, path, status.st_size, _replace_hint(entry))


def _missing(entry: ModelEntry, path: Path) -> ModelNotInstalled:
    if path.parent == models_dir():
        return ModelNotInstalled(
            f"the model {entry.id} is not on this machine ({entry.bytes / 1e9:.2f} GB)",
            f"localagent models fetch {entry.id}",
        )
    return ModelNotInstalled(
        f"the model {entry.id} is no longer at {path}",
        "bring the file back, or pin its new place: localagent models add PATH",
    )


def _replace_hint(entry: ModelEntry) -> str:
    if pinned_in_place(entry):
        return f"restore the file, or: localagent models remove {entry.id}, then models add PATH"
    return f"localagent models remove {entry.id}, then: localagent models fetch {entry.id}"


def _digest(stream: BinaryIO, size: int, report: OnProgress | None) -> str:
    digest, meter, done = hashlib.sha256(), Meter("verifying", size, report), 0
    while chunk := stream.read(CHUNK):
        digest.update(chunk)
        done += len(chunk)
        meter.at(done)
    return digest.hexdigest()


def fingerprint(status: os.stat_result, sha256: str) -> _Fingerprint:
    """Size, times, device, inode and hash; equal ones mean an unchanged file. Only root can set
    `ctime` back."""
    times = [status.st_mtime_ns, status.st_ctime_ns]
    return [status.st_size, *times, status.st_dev, status.st_ino, sha256]


def _records() -> dict[str, _Fingerprint]:
    try:
        notes = json.loads((state_dir() / "verified.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return notes if isinstance(notes, dict) else {}


def _record_of(path: Path) -> _Fingerprint | None:
    return _records().get(str(path))


def record(path: Path, facts: _Fingerprint | None) -> None:
    """Record a verification, or remove it. If that fails, the file is read again next time."""
    notes = _records()
    if notes.get(str(path)) == facts:
        return
    notes.pop(str(path), None)
    if facts is not None:
        notes[str(path)] = facts
    try:
        folder = private(state_dir())
        write_atomic(folder / "verified.json", json.dumps(notes, indent=1))
    except OSError:
        return
