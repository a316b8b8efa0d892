"""What `localagent models` does: list, fetch, verify, add, use, remove.

Each function returns plain values and reports progress through a callback; the command line
prints them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from localagent.core.errors import LocalAgentError, UsageError
from localagent.models.catalog import lock, sources, store
from localagent.models.catalog.download import OnProgress
from localagent.models.catalog.lock import Entry, LocalFile, LockFile, ProfileSpec

if TYPE_CHECKING:
    from localagent.models.llamacpp.library import Metadata

# Models below this many parameters lose a plan of many steps, so the harness plans for them.
_SMALL = 4_000_000_000


@dataclass(frozen=True, slots=True)
class Row:
    """One model of the list. `state` is what a look at size and times tells, without reading;
    `place` as for a verdict."""

    entry: Entry
    default: bool
    state: store.State
    place: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What verifying one model found; `error` is None where it is the pinned one. `place` is its
    file's path, or its name in Ollama. `read` is whether all bytes of its file were read."""

    entry: Entry
    place: str
    error: LocalAgentError | None
    read: bool = False


@dataclass(frozen=True, slots=True)
class Added:
    """A model that was pinned. `changed` is False where it was known and in place before; `place`
    as for a verdict."""

    entry: Entry
    place: str
    lock_path: Path
    changed: bool


@dataclass(frozen=True, slots=True)
class Removed:
    """`freed` bytes of the model folder; `unpinned` where the entry left the user's lock too."""

    entry: Entry
    freed: int
    unpinned: bool


def list_models() -> list[Row]:
    """All models of the lock, in its order."""
    known = lock.load()
    return [
        Row(entry, entry.id == known.default, store.state(entry), _place(entry))
        for entry in known.entries
    ]


def fetch(
    model_id: str | None = None, given: Path | None = None, report: OnProgress | None = None
) -> Path:
    """Install a model (the default one) from the lock's source or from `given`, and return its
    path. Resumes; does nothing where it is installed. Raises what `store.install` raises.
    """
    entry = lock.load().entry(model_id)
    if not entry.file:
        raise UsageError(f"Ollama keeps {entry.id} itself", f"ollama pull {entry.name} fetches it")
    if given is None and store.state(entry) in ("installed", "unverified"):
        return store.path_for(entry, report=report)
    return store.install(entry, sources.source_for(entry, given), report)


def verify(
    model_id: str | None = None,
    report: OnProgress | None = None,
    host: str = "",
    allowed: Collection[str] = (),
    *,
    deep: bool = False,
) -> Iterator[Verdict]:
    """Compare a model, or all that are there, with the lock, as before each load; ask the Ollama
    server at `host`, on this machine or among those `allowed`, for what it keeps. `deep` reads
    every byte of a file, also where nothing seems to have changed since it was last read.

    With an id, a missing file is an error as well.
    """
    known = lock.load()
    for entry in [known.entry(model_id)] if model_id else known.entries:
        if model_id is None and store.state(entry) in ("missing", "incomplete"):
            continue
        read = deep or store.state(entry) == "unverified"
        try:
            if entry.file:
                store.path_for(entry, deep, report)
            else:
                from localagent.models.ollama import pinning

                pinning.verify(entry, host, allowed)
        except LocalAgentError as error:
            yield Verdict(entry, _place(entry), error)
        else:
            yield Verdict(entry, _place(entry), None, read and bool(entry.file))


def _place(entry: Entry) -> str:
    return str(store.location(entry)) if entry.file else f"{entry.name} in Ollama"


def add(path: Path, model_id: str | None = None, report: OnProgress | None = None) -> Added:
    """Pin a GGUF file where it is, in the user's lock, with a proposed profile.

    A file that the lock knows by its hash gets its place noted instead of a second entry. Raises
    UsageError for what is no readable, whole GGUF file, and for an id that is taken.
    """
    from localagent.models.llamacpp.library import inspect

    path = path.expanduser().resolve()
    if not path.is_file():
        raise UsageError(f"there is no file {path}", "give the path of a GGUF file")
    metadata = inspect(path)
    size, sha256 = store.hash_file(path, report)
    known = lock.load()
    twin = next((entry for entry in known.entries if entry.sha256 == sha256), None)
    template = metadata.chat_template and metadata.chat_template_sha256
    if twin and store.state(twin) == "installed":
        return _completed(twin, template)
    here = LocalFile(kind="file", path=str(path))
    if twin:
        entry = twin.model_copy(update={"sources": (here,)})
    else:
        entry = _entry(path, metadata, size, sha256, model_id, known)
    saved = _save(entry.model_copy(update={"sources": (here,)}))
    return Added(entry, str(path), saved, changed=True)


def _completed(twin: Entry, template: str) -> Added:
    """A model that is known and in place. Where an older localagent pinned it without the hash of
    its chat template, that is added."""
    entry = twin.model_copy(update={"chat_template_sha256": twin.chat_template_sha256 or template})
    changed = entry != twin
    saved = _save(entry) if changed else lock.user_path()
    return Added(entry, _place(entry), saved, changed)


def add_served(
    name: str, host: str, model_id: str | None = None, allowed: Collection[str] = ()
) -> Added:
    """Pin what the Ollama server at `host` has under `name`, in the user's lock, with a proposed
    profile. Raises UsageError for an id that is taken, and what `served.ask` raises.
    """
    from localagent.models.ollama import pinning

    found, known = pinning.ask(host, name, allowed), lock.load()
    if twin := pinning.twin(found, known):
        return _completed(twin, found.template_sha256)
    entry = pinning.entry(found, model_id, known)
    saved = _save(entry)
    return Added(entry, _place(entry), saved, changed=True)


def use(model_id: str) -> Entry:
    """Make a model the default one, in the user's lock. Raises UsageError for an unknown id."""
    entry = lock.load().entry(model_id)
    lock.save_user(lock.load_user().model_copy(update={"default": entry.id}))
    return entry


def remove(model_id: str) -> Removed:
    """Remove a model's file from the model folder; unpin it where it was added with `add`.

    A file that was pinned in place stays where it is, and so does what an Ollama server keeps.
    """
    entry = lock.load().entry(model_id)
    freed = store.remove(entry) if entry.file else 0
    own = lock.load_user()
    left = tuple(e for e in own.models if e.id != entry.id or not _added(e))
    unpinned = len(left) < len(own.models)
    if unpinned:
        default = None if own.default == entry.id and not _shipped(entry.id) else own.default
        lock.save_user(LockFile(version=1, default=default, model=left))
    return Removed(entry, freed, unpinned)


def propose(metadata: Metadata, size: int) -> ProfileSpec:
    """How a model of `size` bytes with this metadata is probably best used."""
    small = _parameters(metadata, size) < _SMALL
    able = not small and metadata.tools
    ceiling = 8192 if small else 16384
    window = min(metadata.context_length or ceiling, ceiling)
    return ProfileSpec(
        planner="react" if able else "workflow",
        edit_format="whole" if small else "search-replace",
        window=max(window, 1024),
        fim=metadata.fim,
    )


def _parameters(metadata: Metadata, size: int) -> float:
    """The number of parameters: as the file tells, or a guess from its size in bytes."""
    label = re.fullmatch(r"(\d+(?:\.\d+)?)([MB])", metadata.size_label)
    if label:
        return float(label[1]) * {"M": 1e6, "B": 1e9}[label[2]]
    # Most files are quantised to 4 bits, with about 0.6 bytes a parameter in all.
    return metadata.parameters or size / 0.6


def _entry(
    path: Path, metadata: Metadata, size: int, sha256: str, model_id: str | None, known: lock.Lock
) -> Entry:
    taken = {entry.id for entry in known.entries}
    name = model_id or _slug(metadata.name or path.stem)
    if name in taken:
        if model_id:
            raise UsageError(f"another model is called {name}", "choose another id")
        name = f"{name}-{sha256[:6]}"
    files = {entry.file.casefold() for entry in known.entries}
    # Where Ollama keeps it, a model's name is its hash.
    usable = re.match(r"[A-Za-z0-9_].*\.gguf$", path.name) and path.name.casefold() not in files
    values = {
        "id": name,
        "file": path.name if usable else f"{name}.gguf",
        "bytes": size,
        "sha256": sha256,
        "chat_template_sha256": metadata.chat_template and metadata.chat_template_sha256,
        "licence": metadata.licence,
        "origin": f"added from {path}",
        "profile": propose(metadata, size),
    }
    return lock.checked(values, f"the entry for {path}")


def _save(entry: Entry) -> Path:
    own = lock.load_user()
    others = tuple(mine for mine in own.models if mine.id != entry.id)
    return lock.save_user(own.model_copy(update={"models": (*others, entry)}))


def _slug(name: str) -> str:
    slug = re.sub(r"[^a-z0-9._]+", "-", name.lower()).strip("-._")
    return slug[:80] or "model"


def _added(entry: Entry) -> bool:
    return not entry.file or any(isinstance(source, LocalFile) for source in entry.sources)


def _shipped(model_id: str) -> bool:
    return any(entry.id == model_id for entry in lock.read(lock.shipped_path()).models)
