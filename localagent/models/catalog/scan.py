"""`localagent models scan`: the GGUF files that are on this machine already.

The scan reads headers only; it writes nothing and asks no program about its files. It lists each
file once, with all its names and links. It follows links to files. It does not follow links to
folders: their targets are either in the place anyway or outside of it, and so there are no loops.
"""

from __future__ import annotations

import json
import os
import re
import stat
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from localagent.models import gguf, split_files
from localagent.models.catalog import lock, verification

_MAX_POINTER = 4096  # bytes of the file in which LM Studio notes its folder
MAX_DEPTH = 16
"""The depth of folders to scan; no program nests its models deeper than six."""

_MAX_MANIFEST = 4 << 20  # bytes; real ones have about a thousand
_DIGEST = re.compile(r"^sha256[:-]([0-9a-f]{64})$")
_LAYERS = {
    "application/vnd.ollama.image.model",
    "application/vnd.ollama.image.projector",
}
_HUGGING_FACE = re.compile(r"^models--(.+)$")


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A file that may be a model. `owner` is a program, `names` are its names for the file.

    `header` is None for a file that is no GGUF. `unusable` says why localagent cannot use it, or is
    "". `pinned` is the id of the model of the lock that this file is. `same_as` is the id of a
    model of the lock with the same bytes in another file. Both are "" for none.
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
    """The result of a scan: the files in the order of their folders, and the folders that exist.

    `warnings` has a line for each folder with something unreadable.
    """

    files: tuple[ModelFile, ...]
    folders: tuple[ModelFolder, ...]
    warnings: tuple[str, ...]


def scan(folders: Sequence[Path] = ()) -> Scan:
    """Scan the folders that programs use, and `folders` (or files) of the user.

    Raises LockError where the lock cannot be read.
    """
    given = [ModelFolder("given", folder.expanduser(), given=True) for folder in folders]
    files: dict[tuple[int, int], ModelFile] = {}
    existing, warnings = [], []
    pins = _Pins(lock.load())
    for place in [*model_folders(), *given]:
        unreadable = Unreadable()
        for candidate in candidates(place, unreadable):
            try:
                _add(files, candidate, place, pins)
            except OSError as error:
                unreadable.add(candidate.path, error)
        if os.path.exists(place.path):  # noqa: PTH110  # this one raises nothing
            existing.append(place)
        if line := unreadable.line():
            warnings.append(line)
    return Scan(tuple(files.values()), tuple(existing), tuple(warnings))


def _add(
    found: dict[tuple[int, int], ModelFile],
    candidate: ModelCandidate,
    place: ModelFolder,
    pins: _Pins,
) -> None:
    """Add a candidate to `found`, or its name to a file that is there already. Raises OSError."""
    status = candidate.path.stat()
    key = (status.st_dev, status.st_ino)
    known = found.get(key)
    if known is not None:
        if candidate.name not in known.names:
            found[key] = replace(known, names=(*known.names, candidate.name))
        return
    header, unusable = None, ""
    try:
        header = split_files.read_by_name(candidate.path)
        unusable = header.unusable
    except gguf.GgufError as error:
        unusable = str(error)
    pinned = pins.by_file.get(key, "")
    found[key] = ModelFile(
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
                status = verification.location(entry).stat()
            except OSError:
                continue
            self.by_file[status.st_dev, status.st_ino] = entry.id


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A folder in which the program `owner` stores models; it may not exist.

    A `given` one comes from the user, and may be a file.
    """

    owner: str
    path: Path
    given: bool = False


def model_folders(
    environ: Mapping[str, str] | None = None, home: Path | None = None
) -> list[ModelFolder]:
    """All folders of this platform, each once, in the order of the scan."""
    env = os.environ if environ is None else environ
    root = home or Path.home()
    found: dict[Path, ModelFolder] = {}
    for owner, path in (
        *_ollama_folders(env, root),
        *_lm_studio_folders(root),
        *_hugging_face_folders(env, root),
        *_llama_cpp_folders(env, root),
        *_gpt4all_folders(env, root),
        *_jan_folders(env, root),
    ):
        found.setdefault(path, ModelFolder(owner, path))
    return list(found.values())


def _from_variable(env: Mapping[str, str], name: str, *below: str) -> Iterator[Path]:
    """The folder that an environment variable names, if it is set."""
    if value := env.get(name, ""):
        yield Path(value).expanduser().joinpath(*below)


def _cache(env: Mapping[str, str], home: Path) -> Path:
    return next(_from_variable(env, "XDG_CACHE_HOME"), home / ".cache")


def _data(env: Mapping[str, str], home: Path) -> list[Path]:
    """The folders for the data of desktop programs."""
    if sys.platform == "darwin":
        return [home / "Library" / "Application Support"]
    if sys.platform == "win32":
        return [*_from_variable(env, "APPDATA"), *_from_variable(env, "LOCALAPPDATA")]
    local = next(_from_variable(env, "XDG_DATA_HOME"), home / ".local" / "share")
    return [local, next(_from_variable(env, "XDG_CONFIG_HOME"), home / ".config")]


def _ollama_folders(env: Mapping[str, str], home: Path) -> Iterator[tuple[str, Path]]:
    for path in _from_variable(env, "OLLAMA_MODELS"):
        yield "Ollama", path
    yield "Ollama", home / ".ollama" / "models"
    if sys.platform == "linux":  # the home of the service's user
        yield "Ollama", Path("/usr/share/ollama/.ollama/models")


def _lm_studio_folders(home: Path) -> Iterator[tuple[str, Path]]:
    try:
        with (home / ".lmstudio-home-pointer").open("rb") as stream:
            noted = stream.read(_MAX_POINTER).decode("utf-8", "replace").strip()
        if noted and "\0" not in noted and Path(noted).is_absolute():
            yield "LM Studio", Path(noted) / "models"
    except OSError:
        pass
    yield "LM Studio", home / ".lmstudio" / "models"
    yield "LM Studio", home / ".cache" / "lm-studio" / "models"


def _hugging_face_folders(env: Mapping[str, str], home: Path) -> Iterator[tuple[str, Path]]:
    named = (
        *_from_variable(env, "HF_HUB_CACHE"),
        *_from_variable(env, "HUGGINGFACE_HUB_CACHE"),  # its older name
        *_from_variable(env, "HF_HOME", "hub"),
        _cache(env, home) / "huggingface" / "hub",
    )
    for path in named:
        yield "Hugging Face", path


def _llama_cpp_folders(env: Mapping[str, str], home: Path) -> Iterator[tuple[str, Path]]:
    for path in _from_variable(env, "LLAMA_CACHE"):
        yield "llama.cpp", path
    if sys.platform == "darwin":
        yield "llama.cpp", home / "Library" / "Caches" / "llama.cpp"
    elif sys.platform == "win32":
        for path in _from_variable(env, "LOCALAPPDATA", "llama.cpp"):
            yield "llama.cpp", path
    else:
        yield "llama.cpp", _cache(env, home) / "llama.cpp"


def _gpt4all_folders(env: Mapping[str, str], home: Path) -> Iterator[tuple[str, Path]]:
    for data in _data(env, home):
        yield "GPT4All", data / "nomic.ai" / "GPT4All"
    yield "GPT4All", home / ".cache" / "gpt4all"  # its Python package


def _jan_folders(env: Mapping[str, str], home: Path) -> Iterator[tuple[str, Path]]:
    for data in _data(env, home):
        for models in ("llamacpp/models", "models"):  # since version 0.6, and before
            yield "Jan", data / "Jan" / "data" / models
    yield "Jan", home / "jan" / "models"


@dataclass(frozen=True, slots=True)
class ModelCandidate:
    """A file that may be a model, with the name and the sha256 that its owner knows ("": none)."""

    path: Path
    name: str
    sha256: str = ""


@dataclass(slots=True)
class Unreadable:
    """The files and folders of one place that could not be read."""

    count: int = 0
    first: str = ""
    seen: set[str] = field(default_factory=set)

    def add(self, path: Path, error: OSError | str) -> None:
        """Record a path, once."""
        if str(path) in self.seen:
            return
        self.seen.add(str(path))
        reason = (error.strerror or str(error)) if isinstance(error, OSError) else error
        self.count, self.first = self.count + 1, self.first or f"{path}: {reason}"

    def line(self) -> str:
        """All of them in one line, or ""."""
        if self.count < 2:
            return f"cannot read {self.first}" if self.count else ""
        return f"cannot read {self.count} files or folders; the first is {self.first}"


def candidates(place: ModelFolder, unreadable: Unreadable) -> Iterator[ModelCandidate]:
    """The files of a folder, in the order of their names."""
    try:
        status = place.path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        if place.given:
            unreadable.add(place.path, error)
        return
    except OSError as error:
        unreadable.add(place.path, error)
        return
    if stat.S_ISREG(status.st_mode):
        yield ModelCandidate(place.path, place.path.stem)
    elif _is_ollama(place.path):
        yield from _ollama_candidates(place.path, unreadable)
    else:
        for path in _files(place.path, unreadable):
            if path.suffix.lower() == ".gguf":
                yield ModelCandidate(path, _name(path, place.path))


def _is_ollama(folder: Path) -> bool:
    return all(os.path.isdir(folder / name) for name in ("manifests", "blobs"))  # noqa: PTH112  # this one raises nothing


def _files(folder: Path, unreadable: Unreadable, depth: int = 0) -> Iterator[Path]:
    """All files below a folder; links to files, but no links to folders."""
    try:
        with os.scandir(folder) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        unreadable.add(folder, error)
        return
    for entry in listed:
        try:
            if entry.is_file():
                yield Path(entry.path)
            elif entry.is_dir(follow_symlinks=False) and depth < MAX_DEPTH:
                yield from _files(Path(entry.path), unreadable, depth + 1)
        except OSError as error:  # a link into a folder that may not be read
            unreadable.add(Path(entry.path), error)


def _name(path: Path, root: Path) -> str:
    """The user's name of a file: "org/model: file" in Hugging Face's cache, else its path."""
    parts = path.relative_to(root).parts
    repository = _HUGGING_FACE.match(parts[0]) if len(parts) > 3 else None
    if repository and parts[1] == "snapshots":
        return f"{repository[1].replace('--', '/', 1)}: {'/'.join(parts[3:])}"
    return "/".join(parts)


def _ollama_candidates(store: Path, unreadable: Unreadable) -> Iterator[ModelCandidate]:
    """The models of an Ollama store.

    manifests/HOST/NAMESPACE/NAME/TAG lists the layers of a model, which are blobs/sha256-HEX.
    """
    for path in _files(store / "manifests", unreadable):
        parts = path.relative_to(store / "manifests").parts
        if len(parts) != 4 or parts[-1].startswith("."):
            continue
        try:
            digests = _layers(path)
        except OSError as error:
            unreadable.add(path, error)
            continue
        except ValueError:
            unreadable.add(path, "it is no manifest of Ollama")
            continue
        for digest in digests:
            blob = store / "blobs" / f"sha256-{digest}"
            try:
                blob.stat()
            except FileNotFoundError:  # it is being downloaded
                continue
            except OSError as error:
                unreadable.add(blob, error)
                continue
            yield ModelCandidate(blob, _ollama_name(*parts), digest)


def _layers(manifest: Path) -> list[str]:
    """The hashes of the layers that are GGUF files. Raises OSError, and ValueError for a file that
    is no manifest."""
    with manifest.open("rb") as stream:
        data = stream.read(_MAX_MANIFEST + 1)
    if len(data) > _MAX_MANIFEST:
        raise ValueError("too long")
    try:
        content: Any = json.loads(data)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    layers = content.get("layers") if isinstance(content, dict) else None
    if not isinstance(layers, list):
        raise ValueError("no layers")
    found = []
    for layer in layers:
        if isinstance(layer, dict) and layer.get("mediaType") in _LAYERS:
            digest = _DIGEST.match(str(layer.get("digest")))
            if digest is None:
                raise ValueError("no digest")
            found.append(digest[1])
    return found


def _ollama_name(host: str, namespace: str, name: str, tag: str) -> str:
    """A model's name as `ollama list` shows it."""
    short = f"{name}:{tag}"
    if host != "registry.ollama.ai":
        return f"{host}/{namespace}/{short}"
    return short if namespace == "library" else f"{namespace}/{short}"
