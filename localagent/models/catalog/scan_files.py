"""The files of a place that may be models: by their names, or as Ollama's manifests name them.

Links to files are followed, links to folders are not: what they lead to is either in the place
anyway or outside of it, and so there are no loops.
"""

from __future__ import annotations

import json
import os
import re
import stat
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_MAX_POINTER = 4096  # bytes of the file in which LM Studio notes its folder


@dataclass(frozen=True, slots=True)
class Place:
    """A folder where `owner`, a program, keeps models; it may not exist. A `given` one is the
    user's own, and may be a file."""

    owner: str
    path: Path
    given: bool = False


def places(environ: Mapping[str, str] | None = None, home: Path | None = None) -> list[Place]:
    """All places of this platform, each once, in the order in which they are looked at."""
    env = os.environ if environ is None else environ
    root = home or Path.home()
    found: dict[Path, Place] = {}
    for owner, path in (
        *_scan_places_ollama(env, root),
        *_lm_studio(root),
        *_hugging_face(env, root),
        *_llama_cpp(env, root),
        *_gpt4all(env, root),
        *_jan(env, root),
    ):
        found.setdefault(path, Place(owner, path))
    return list(found.values())


def _named(env: Mapping[str, str], name: str, *below: str) -> Iterator[Path]:
    """The folder that a variable names, where it names one."""
    if value := env.get(name, ""):
        yield Path(value).expanduser().joinpath(*below)


def _cache(env: Mapping[str, str], home: Path) -> Path:
    return next(_named(env, "XDG_CACHE_HOME"), home / ".cache")


def _data(env: Mapping[str, str], home: Path) -> list[Path]:
    """The folders in which programs with windows keep their data."""
    if sys.platform == "darwin":
        return [home / "Library" / "Application Support"]
    if sys.platform == "win32":
        return [*_named(env, "APPDATA"), *_named(env, "LOCALAPPDATA")]
    local = next(_named(env, "XDG_DATA_HOME"), home / ".local" / "share")
    return [local, next(_named(env, "XDG_CONFIG_HOME"), home / ".config")]


def _scan_places_ollama(env: Mapping[str, str], home: Path) -> Iterator[tuple[str, Path]]:
    for path in _named(env, "OLLAMA_MODELS"):
        yield "Ollama", path
    yield "Ollama", home / ".ollama" / "models"
    if sys.platform == "linux":  # the home of the service's user
        yield "Ollama", Path("/usr/share/ollama/.ollama/models")


def _lm_studio(home: Path) -> Iterator[tuple[str, Path]]:
    try:
        with (home / ".lmstudio-home-pointer").open("rb") as stream:
            noted = stream.read(_MAX_POINTER).decode("utf-8", "replace").strip()
        if noted and "\0" not in noted and Path(noted).is_absolute():
            yield "LM Studio", Path(noted) / "models"
    except OSError:
        pass
    yield "LM Studio", home / ".lmstudio" / "models"
    yield "LM Studio", home / ".cache" / "lm-studio" / "models"


def _hugging_face(env: Mapping[str, str], home: Path) -> Iterator[tuple[str, Path]]:
    named = (
        *_named(env, "HF_HUB_CACHE"),
        *_named(env, "HUGGINGFACE_HUB_CACHE"),  # its older name
        *_named(env, "HF_HOME", "hub"),
        _cache(env, home) / "huggingface" / "hub",
    )
    for path in named:
        yield "Hugging Face", path


def _llama_cpp(env: Mapping[str, str], home: Path) -> Iterator[tuple[str, Path]]:
    for path in _named(env, "LLAMA_CACHE"):
        yield "llama.cpp", path
    if sys.platform == "darwin":
        yield "llama.cpp", home / "Library" / "Caches" / "llama.cpp"
    elif sys.platform == "win32":
        for path in _named(env, "LOCALAPPDATA", "llama.cpp"):
            yield "llama.cpp", path
    else:
        yield "llama.cpp", _cache(env, home) / "llama.cpp"


def _gpt4all(env: Mapping[str, str], home: Path) -> Iterator[tuple[str, Path]]:
    for data in _data(env, home):
        yield "GPT4All", data / "nomic.ai" / "GPT4All"
    yield "GPT4All", home / ".cache" / "gpt4all"  # its Python package


def _jan(env: Mapping[str, str], home: Path) -> Iterator[tuple[str, Path]]:
    for data in _data(env, home):
        for models in ("llamacpp/models", "models"):  # since version 0.6, and before
            yield "Jan", data / "Jan" / "data" / models
    yield "Jan", home / "jan" / "models"


MAX_DEPTH = 16
"""How deep folders are looked into; no program nests its models deeper than six."""

_MAX_MANIFEST = 4 << 20  # bytes; real ones have about a thousand
_DIGEST = re.compile(r"^sha256[:-]([0-9a-f]{64})$")
_LAYERS = {
    "application/vnd.ollama.image.model",
    "application/vnd.ollama.image.projector",
}
_HUGGING_FACE = re.compile(r"^models--(.+)$")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that may be a model; `name` is what its owner calls it, `sha256` its hash where the
    owner knows it ("" otherwise)."""

    path: Path
    name: str
    sha256: str = ""


@dataclass(slots=True)
class Unreadable:
    """What of a place could not be read."""

    count: int = 0
    first: str = ""
    seen: set[str] = field(default_factory=set)

    def add(self, path: Path, error: OSError | str) -> None:
        """Note one; the same one once."""
        if str(path) in self.seen:
            return
        self.seen.add(str(path))
        reason = (error.strerror or str(error)) if isinstance(error, OSError) else error
        self.count, self.first = self.count + 1, self.first or f"{path}: {reason}"

    def line(self) -> str:
        """All of it in one line, or ""."""
        if self.count < 2:
            return f"cannot read {self.first}" if self.count else ""
        return f"cannot read {self.count} files or folders; the first is {self.first}"


def candidates(place: Place, unreadable: Unreadable) -> Iterator[Candidate]:
    """The files of a place, in the order of their names."""
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
        yield Candidate(place.path, place.path.stem)
    elif _is_ollama(place.path):
        yield from _ollama(place.path, unreadable)
    else:
        for path in _files(place.path, unreadable):
            if path.suffix.lower() == ".gguf":
                yield Candidate(path, _name(path, place.path))


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
    """What the user knows a file as: "org/model: file" in Hugging Face's cache, else its path."""
    parts = path.relative_to(root).parts
    repository = _HUGGING_FACE.match(parts[0]) if len(parts) > 3 else None
    if repository and parts[1] == "snapshots":
        return f"{repository[1].replace('--', '/', 1)}: {'/'.join(parts[3:])}"
    return "/".join(parts)


def _ollama(store: Path, unreadable: Unreadable) -> Iterator[Candidate]:
    """The models of an Ollama store: manifests/HOST/NAMESPACE/NAME/TAG lists each model's
    layers, which are blobs/sha256-HEX."""
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
            yield Candidate(blob, _ollama_name(*parts), digest)


def _layers(manifest: Path) -> list[str]:
    """The hashes of the layers that are GGUF files. Raises OSError, and ValueError for what is no
    manifest."""
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
