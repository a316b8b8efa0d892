"""Which files an import means: languages write modules with dots, slashes, colons or as paths."""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache
from pathlib import PurePosixPath

from localagent.code.languages import language_of, suffixes

_PACKAGES = ("__init__", "index", "mod", "lib", "main")
"""Files that stand for the folder that they are in."""

_BY_FOLDER = frozenset({"go", "java", "kotlin", "scala", "csharp", "php"})
"""Languages in which an import may name a folder for all that is in it."""

_FAMILIES = ({"javascript", "typescript", "tsx"}, {"c", "cpp"}, {"java", "kotlin", "scala"})


def modules_of(written: str, path: str, known: Collection[str]) -> list[str]:
    """The files among `known` that the import `written` in the file `path` means."""
    likely = _by_name(frozenset(known))
    found = {
        f for name in [*names_of(written), *names_of(path)[-2:-1]] for f in likely.get(name, ())
    }
    return sorted(file for file in found if is_module(file, written, path))


def is_module(file: str, written: str, path: str) -> bool:
    """Whether the import `written` in the file `path` means `file`."""
    language = language_of(path)
    if not language or not _akin(language, language_of(file)):
        return False
    own = _own(file)
    parts, exact = _resolved(written, path, language)
    if not parts:
        return False
    folder = own[:-1]
    names = [own, folder] if own and own[-1] in _PACKAGES else [own]
    if language in _BY_FOLDER and folder:
        names.append(folder)
    if exact:
        return parts in names
    if language == "python" and len(parts) == 1:  # "types" is not the types.py of some package
        here = list(PurePosixPath(path).parent.parts)
        names = [n for n in names if n[:-1] in ([], here) or n[-2:-1] in (["src"], ["lib"])]
    # `from a import b` is written a.b: b may be a module of its own, or something in a.
    wanted = [parts, parts[:-1]] if language in ("rust", "java", "kotlin", "scala") else [parts]
    return any(_ends_alike(name, want, language) for name in names for want in wanted if want)


def names_of(written: str) -> list[str]:
    """The names by which an import of a module or file may be looked up: its last parts."""
    parts = [part for part in re.split(r"[^\w-]+", _without_suffix(written)) if part]
    last = [p for p in parts[-3:] if p not in _PACKAGES]
    return [word for part in last for word in [part, *part.split("-")][:1]]


def _ends_alike(name: list[str], wanted: list[str], language: str) -> bool:
    """Whether one ends with the other: an import may begin with the project's own name, and a
    file's path with the folder that holds the sources."""
    if language == "go" and len(name) <= 2 and name[-1:] == wanted[-1:]:
        return True  # the module's own path, which go.mod has, is no part of the folder's
    size = min(len(name), len(wanted))
    if not size or name[-size:] != wanted[-size:]:
        return False
    # A single common part would make "utils" of any folder the one that is meant.
    return size > 1 or len(wanted) == 1


def _resolved(written: str, path: str, language: str) -> tuple[list[str], bool]:
    """The parts of an import; from the workspace's root where it is relative, which is told."""
    folder = list(PurePosixPath(path).parent.parts)
    text = _without_suffix(written) if "/" in written or language in ("c", "cpp") else written
    if language == "python":
        dots = len(text) - len(text.lstrip("."))
        above = folder[: len(folder) - dots + 1] if dots else []
        return [*above, *(p for p in text.split(".") if p)], bool(dots)
    if text.startswith((".", "/")) or (language in ("c", "cpp", "ruby") and "/" not in text):
        parts = folder if text.startswith(".") or language == "c" else []
        for part in text.split("/"):
            parts = parts[:-1] if part == ".." else parts if part in (".", "") else [*parts, part]
        return parts, text.startswith(".")
    if language == "rust":
        parts = [p for p in re.split(r"::|[{},\s]+", text) if p]
        return [p for p in parts if p not in ("crate", "self", "super", "as", "*")][:4], False
    return [p for p in re.split(r"[/.:\\]+", text) if p], False


def _own(file: str) -> list[str]:
    return list(PurePosixPath(_without_suffix(file)).parts)


def _without_suffix(text: str) -> str:
    language = language_of(text)
    found = (
        next((s for s in suffixes(language) if text.lower().endswith(s)), "") if language else ""
    )
    return text[: len(text) - len(found)] if found else text


def _akin(one: str, other: str) -> bool:
    return one == other or any(one in family and other in family for family in _FAMILIES)


@lru_cache(maxsize=4)
def _by_name(known: frozenset[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path in known:
        parts = _own(path)
        for name in {*parts[-2:]}:
            found.setdefault(name, []).append(path)
    return found
