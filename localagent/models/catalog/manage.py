"""The operations of `localagent models`: list, fetch, verify, add, use, remove.

Each function returns plain values and reports progress through a callback; the command line
prints them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from localagent.core.errors import LocalAgentError, ModelLoadError, UsageError
from localagent.models import gguf, split_files
from localagent.models.catalog import lock, sources, store, verification
from localagent.models.catalog.download import OnProgress
from localagent.models.catalog.lock import (
    FilePart,
    LocalFile,
    Lock,
    LockFile,
    ModelEntry,
    ProfileSpec,
)
from localagent.models.catalog.sampling_cards import propose_sampling
from localagent.models.chat_templates import inspection

if TYPE_CHECKING:
    from localagent.models.ollama.pinning import Facts
    from localagent.models.openai.entry import ServerModelInfo
    from localagent.models.server.address import ServerAddress

# Models below this many parameters lose a plan of many steps, so the harness plans for them.
_SMALL = 4e9
# A conversation of tool calls fills 16,000 tokens. The memory plan shrinks the window of a file
# where memory is short; a server cannot.
_REACT_WINDOW = 32_768
_UNITS = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}


@dataclass(frozen=True, slots=True)
class Row:
    """One model of the list. `verification.state` gives its state; `place` is that of a verdict."""

    entry: ModelEntry
    default: bool
    state: verification.State
    place: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of verifying one model; `error` is None for the pinned one.

    `place` is its file's path, or its name in Ollama. `read` says that all bytes were read.
    """

    entry: ModelEntry
    place: str
    error: LocalAgentError | None
    read: bool = False


@dataclass(frozen=True, slots=True)
class Added:
    """A pinned model. `changed` is False if the lock had it already; `place` as in a verdict."""

    entry: ModelEntry
    place: str
    lock_path: Path
    changed: bool


@dataclass(frozen=True, slots=True)
class Removed:
    """`freed` bytes of the model folder; `unpinned` says that the entry left the user's lock."""

    entry: ModelEntry
    freed: int
    unpinned: bool


def list_models() -> list[Row]:
    """List all models of the lock, in its order."""
    known = lock.load()
    return [
        Row(entry, entry.id == known.default, verification.state(entry), _place(entry))
        for entry in known.entries
    ]


def fetch(
    model_id: str | None = None, given: Path | None = None, report: OnProgress | None = None
) -> Path:
    """Install a model (the default one) from the lock's source or from `given`, and return its
    path. Resumes; does nothing for an installed model. Raises as `store.install`.
    """
    entry = lock.load().entry(model_id)
    if entry.server:
        raise UsageError(f"the server {entry.server} keeps {entry.id} itself", "start that server")
    if not entry.file:
        raise UsageError(f"Ollama keeps {entry.id} itself", f"ollama pull {entry.name} fetches it")
    if entry.parts:
        raise UsageError(
            f"{entry.id} has {len(entry.files)} files, which localagent uses in their place",
            "bring them back, or pin their new place: localagent models add PATH",
        )
    if given is None and verification.state(entry) in ("installed", "unverified"):
        return verification.path_for(entry, report=report)
    return store.install(entry, sources.source_for(entry, given), report)


def verify(
    model_id: str | None = None,
    report: OnProgress | None = None,
    ask_server: Callable[[ModelEntry], object] = lambda _entry: None,
    *,
    deep: bool = False,
) -> Iterator[Verdict]:
    """Compare a model, or all that are there, with the lock, as before each load.

    `ask_server` compares the model of a server, and raises the difference. `deep` reads every byte
    of a file, even if nothing seems changed. With an id, a missing file is an error too.
    """
    known = lock.load()
    for entry in [known.entry(model_id)] if model_id else known.entries:
        if model_id is None and verification.state(entry) in ("missing", "incomplete"):
            continue
        read = deep or verification.state(entry) == "unverified"
        try:
            if entry.file:
                verification.path_for(entry, deep, report)
            else:
                ask_server(entry)
        except LocalAgentError as error:
            yield Verdict(entry, _place(entry), error)
        else:
            yield Verdict(entry, _place(entry), None, read and bool(entry.file))


def _place(entry: ModelEntry) -> str:
    if entry.file:
        return str(verification.location(entry))
    return f"{entry.name} at {entry.server}" if entry.server else f"{entry.name} in Ollama"


def add(path: Path, model_id: str | None = None, report: OnProgress | None = None) -> Added:
    """Pin a GGUF file where it is, in the user's lock, with a proposed profile.

    Of a model in several files, all are pinned, whichever of them `path` is.

    A file that the lock knows by its hash gets its place noted instead of a second entry. Raises
    UsageError for a path without a file and for an id that is taken, ModelLoadError for a file that
    is no whole GGUF model.
    """
    path = path.expanduser()
    path, *others = split_files.parts_by_name(path.absolute())
    path = path if others else path.resolve()
    if not path.is_file():
        raise UsageError(f"there is no file {path}", "give the path of a GGUF file")
    header = _header(path)
    size, sha256 = verification.hash_file(path, report)
    hashed = [(other.name, *verification.hash_file(other, report)) for other in others]
    parts = tuple(FilePart(file=name, bytes=size, sha256=digest) for name, size, digest in hashed)
    known = lock.load()
    twins = (entry for entry in known.entries if (entry.sha256, entry.parts) == (sha256, parts))
    twin = next(twins, None)
    if twin and verification.state(twin) == "installed":
        return _add_template_pin(twin, header.chat_template_sha256, path)
    here = LocalFile(kind="file", path=str(path))
    if twin:
        entry = twin.model_copy(update={"sources": (here,)})
    else:
        entry = _file_entry(path, header, sha256, model_id, known)
        entry = entry.model_copy(update={"bytes": size, "parts": parts})
    saved = _save(entry.model_copy(update={"sources": (here,)}))
    return Added(entry, str(path), saved, changed=True)


def _header(path: Path) -> gguf.Header:
    """The header of a file that can be used as a model. Raises ModelLoadError."""
    try:
        header = split_files.read_by_name(path)
        reason = header.unusable
    except (gguf.GgufError, OSError) as error:
        reason = str(error)
    if reason:
        raise ModelLoadError(
            f"{path.name} cannot be used: {reason}", "give the path of a whole GGUF file"
        )
    return header


def _add_template_pin(twin: ModelEntry, template_sha256: str, path: Path | None = None) -> Added:
    """Pin the chat template of a known model too, if an older localagent did not."""
    changes: dict[str, object] = {
        "chat_template_sha256": twin.chat_template_sha256 or template_sha256
    }
    if path is not None and twin.template is None:
        found = inspection.inspect(gguf.chat_template(gguf.read_metadata(path)))
        changes["template"] = lock.template_form(found)
    entry = twin.model_copy(update=changes)
    changed = entry != twin
    saved = _save(entry) if changed else lock.user_path()
    return Added(entry, _place(entry), saved, changed)


def add_from_ollama(
    name: str, host: str, model_id: str | None = None, allowed: Collection[str] = ()
) -> Added:
    """Pin the model that the Ollama server at `host` has under `name`, with a proposed profile.

    Raises UsageError for an id that is taken, and the errors of `pinning.ask`.
    """
    from localagent.models.ollama import pinning

    facts, known = pinning.ask(host, name, allowed), lock.load()
    names = {pinning.full(facts.tag.name), pinning.full(facts.tag.model)}
    for entry in known.entries:
        if entry.digest == facts.digest and pinning.full(entry.name) in names:
            return _add_template_pin(entry, facts.template_sha256)
    entry = _ollama_entry(facts, model_id, known)
    saved = _save(entry)
    return Added(entry, _place(entry), saved, changed=True)


def add_from_server(
    name: str, address: ServerAddress, model_id: str | None = None, window: int = 0
) -> Added:
    """Pin the model that a server with OpenAI's API has under `name`, with a proposed profile.

    `window` is in tokens, 0 for what the server says. Raises UsageError for an id that is taken,
    and the errors of `entry.examine`.
    """
    from localagent.models.openai.client import OpenAiClient
    from localagent.models.openai.entry import examine
    from localagent.models.server.background import run_once

    found = run_once(OpenAiClient(address), lambda client: examine(client, name, window))
    known = lock.load()
    for entry in known.entries:
        same = (entry.server, entry.name) == (address.url, found.report.name)
        if same and entry.report == found.facts:
            return Added(entry, _place(entry), lock.user_path(), changed=False)
    entry = _server_entry(found, address.url, model_id, known)
    return Added(entry, _place(entry), _save(entry), changed=True)


def use(model_id: str) -> ModelEntry:
    """Make a model the default one, in the user's lock. Raises UsageError for an unknown id."""
    entry = lock.load().entry(model_id)
    lock.save_user(lock.load_user().model_copy(update={"default": entry.id}))
    return entry


def record_probe(
    model_id: str, passed: Mapping[str, int], calls: Literal["fenced", "native"], planner: str
) -> ModelEntry:
    """Record how many tasks a model did in each form of tool calls, its form and its planner.

    A shipped model keeps its planner, which was chosen by benchmarks. Returns the new entry.
    """
    entry = lock.load().entry(model_id)
    planner = entry.profile.planner if _shipped(model_id) else planner
    changes: dict[str, object] = {"calls": calls, "planner": planner}
    if planner == "react" != entry.profile.planner:
        trained = gguf.read(verification.location(entry)).context_length
        wanted = min(trained or _REACT_WINDOW, _REACT_WINDOW)
        changes["window"] = max(entry.profile.window, wanted)
    profile = entry.profile.model_copy(update=changes)
    entry = entry.model_copy(update={"probe": dict(passed), "profile": profile})
    _save(entry)
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


def propose(
    parameters: float,
    *,
    tools: bool,
    fim: bool,
    trained_window: int,
    sampling: Mapping[str, Any],
    react_window: int = 16384,
) -> ProfileSpec:
    """Propose how to use a model with so many `parameters`.

    `tools` says whether its chat template has a place for tools, `fim` whether it can fill in the
    middle. `trained_window` is in tokens, 0 if unknown. `sampling` are the maker's values.
    `react_window` is the most tokens for a model that calls tools in a loop.
    """
    small = parameters < _SMALL
    planner = "react" if tools and not small else "workflow"
    ceiling = 8192 if small else react_window if planner == "react" else 16384
    return ProfileSpec(
        planner=planner,
        window=max(1024, min(trained_window or ceiling, ceiling)),
        fim=fim,
        **sampling,
    )


def parameter_count(label: str) -> float:
    """The number that a label such as "7.6B" stands for; 0 where it is no such label."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([KMBT])", label)
    return float(match[1]) * _UNITS[match[2]] if match else 0.0


def _file_entry(
    path: Path, header: gguf.Header, sha256: str, model_id: str | None, known: Lock
) -> ModelEntry:
    name = _free_id(model_id, header.name or path.stem, sha256, known)
    files = {entry.file.casefold() for entry in known.entries}
    # Where Ollama keeps it, a model's name is its hash.
    usable = re.match(r"[A-Za-z0-9_].*\.gguf$", path.name) and path.name.casefold() not in files
    # Most files are quantized to 4 bits, with about 0.6 bytes a parameter in all.
    parameters = parameter_count(header.size_label) or header.parameters or header.size / 0.6
    metadata = gguf.read_metadata(path)
    form = inspection.inspect(gguf.chat_template(metadata))
    thinks = bool(form and form["thought_end"])
    values = {
        "id": name,
        "file": path.name if usable else f"{name}.gguf",
        "bytes": header.size,
        "sha256": sha256,
        "chat_template_sha256": header.chat_template_sha256,
        "template": form,
        "license": header.license,
        "origin": f"added from {path}",
        "profile": propose(
            parameters,
            tools=header.tools,
            fim=gguf.has_fim_tokens(path),
            trained_window=header.context_length,
            sampling=propose_sampling(header.name or path.stem, metadata, thinks=thinks),
            react_window=_REACT_WINDOW,
        ),
    }
    return lock.checked(values, f"the entry for {path}")


def _ollama_entry(facts: Facts, model_id: str | None, known: Lock) -> ModelEntry:
    name, show = facts.tag.name or facts.tag.model, facts.show
    details = show.details or facts.tag.details
    values = {
        "id": _free_id(model_id, name.removesuffix(":latest"), facts.digest, known),
        "backend": "ollama",
        "name": name,
        "digest": facts.digest,
        "chat_template_sha256": facts.template_sha256,
        "license": show.license.strip().partition("\n")[0][:100],
        "origin": "added from an Ollama server",
        "profile": propose(
            parameter_count(details.parameter_size if details else ""),
            tools="tools" in (show.capabilities or ()),
            fim=show.fills_in,
            trained_window=show.trained_window,
            sampling=propose_sampling(name, {}, thinks="thinking" in (show.capabilities or ())),
        ),
    }
    return lock.checked(values, f"the entry for {name}")


def _server_entry(
    found: ServerModelInfo, server: str, model_id: str | None, known: Lock
) -> ModelEntry:
    report = found.report
    profile = propose(
        found.parameters or _SMALL,
        tools=found.tools,
        fim=found.fim,
        trained_window=report.trained_window,
        sampling=propose_sampling(report.name, {}, thinks=found.thinks),
    )
    last = report.name.rpartition("/")[2].removesuffix(".gguf")
    values = {
        "id": _free_id(model_id, last, report.digest, known),
        "backend": "openai",
        "name": report.name,
        "digest": report.digest,
        "server": server,
        "report": found.facts,
        "chat_template_sha256": found.template_sha256,
        "template": found.form,
        "origin": f"added from {report.software} at {server}",
        "profile": profile.model_copy(
            update={"window": max(1024, found.window), "parallel": found.parallel}
        ),
    }
    return lock.checked(values, f"the entry for {report.name}")


def _free_id(model_id: str | None, name: str, digest: str, known: Lock) -> str:
    """Return the user's id, or one made of `name`. Raises UsageError if the former is taken."""
    slug = re.sub(r"[^a-z0-9._]+", "-", name.lower()).strip("-._")[:80] or "model"
    if (model_id or slug) not in {entry.id for entry in known.entries}:
        return model_id or slug
    if model_id:
        raise UsageError(f"another model is called {model_id}", "choose another id")
    return f"{slug}-{digest[:6]}"


def _save(entry: ModelEntry) -> Path:
    own = lock.load_user()
    others = tuple(mine for mine in own.models if mine.id != entry.id)
    return lock.save_user(own.model_copy(update={"models": (*others, entry)}))


def _added(entry: ModelEntry) -> bool:
    return not entry.file or any(isinstance(source, LocalFile) for source in entry.sources)


def _shipped(model_id: str) -> bool:
    return any(entry.id == model_id for entry in lock.read(lock.shipped_path()).models)
