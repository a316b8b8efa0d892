"""Where programs keep GGUF files on a machine.

Looked up in November 2026: Ollama's FAQ (where models are stored), LM Studio's lms
(findLMStudioHome), huggingface_hub's environment variables, llama.cpp's fs_get_cache_directory,
GPT4All's and Jan's documents.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

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
        *_ollama(env, root),
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


def _ollama(env: Mapping[str, str], home: Path) -> Iterator[tuple[str, Path]]:
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
