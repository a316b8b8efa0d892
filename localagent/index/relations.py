"""Relations of a repository's files: definitions, calls, imports and tests of names and files.

The index knows which files use a name. The lines and the enclosing functions are read from the
current files.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import lru_cache
from pathlib import PurePosixPath
from posixpath import splitext

from localagent.code.cache import mentions_of, structure_of
from localagent.code.file_kinds import is_test, is_vendored
from localagent.code.languages import UNKNOWN, language_of
from localagent.code.symbols import Symbol
from localagent.core.errors import OutsideWorkspace
from localagent.edits.textfile import decode, is_binary
from localagent.index import tokenizer
from localagent.index.base import Reference
from localagent.index.digest import MAX_BYTES
from localagent.index.store import Store
from localagent.workspace.workspace import Workspace

_PACKAGES = ("__init__", "index", "mod", "lib", "main")
"""Names of files that an import of their folder means."""

_BY_FOLDER = frozenset({"go", "java", "kotlin", "scala", "csharp", "php"})
"""Languages in which an import may name a folder of files."""

_FAMILIES = ({"javascript", "typescript", "tsx"}, {"c", "cpp"}, {"java", "kotlin", "scala"})


def modules_of(module: str, path: str, known: Collection[str]) -> list[str]:
    """The files among `known` that the import `module` in the file `path` means."""
    likely = _by_name(frozenset(known))
    found = {
        f
        for name in [*lookup_names(module), *lookup_names(path)[-2:-1]]
        for f in likely.get(name, ())
    }
    return sorted(file for file in found if is_module(file, module, path))


def is_module(file: str, module: str, path: str) -> bool:
    """Whether the import `module` in the file `path` means `file`."""
    language = language_of(path).name
    if not language or not _akin(language, language_of(file).name):
        return False
    own = _path_parts(file)
    parts, exact = _resolved(module, path, language)
    if not parts:
        return False
    folder = own[:-1]
    names = [own, folder] if own and own[-1] in _PACKAGES else [own]
    if language in _BY_FOLDER and folder:
        names.append(folder)
    if exact:
        return parts in names
    # "types" does not mean the types.py of some package
    if language == "python" and len(parts) == 1:
        here = list(PurePosixPath(path).parent.parts)
        names = [n for n in names if n[:-1] in ([], here) or n[-2:-1] in (["src"], ["lib"])]
    # `from a import b` is stored as module a.b: b may be a module, or a name in module a.
    wanted = [parts, parts[:-1]] if language in ("rust", "java", "kotlin", "scala") else [parts]
    return any(_ends_alike(name, want, language) for name in names for want in wanted if want)


def lookup_names(module: str) -> list[str]:
    """The names by which the index finds an import: the last parts of its module or file."""
    parts = [part for part in re.split(r"[^\w-]+", _without_suffix(module)) if part]
    last = [p for p in parts[-3:] if p not in _PACKAGES]
    return [word for part in last for word in [part, *part.split("-")][:1]]


def _ends_alike(name: list[str], wanted: list[str], language: str) -> bool:
    """Whether one list ends with the other.

    An import may begin with the project's name, and a path may begin with the folder of the
    sources.
    """
    if language == "go" and len(name) <= 2 and name[-1:] == wanted[-1:]:
        return True  # an import begins with the module path of go.mod, which is no folder
    size = min(len(name), len(wanted))
    if not size or name[-size:] != wanted[-size:]:
        return False
    # A single common part would match "utils" in any folder.
    return size > 1 or len(wanted) == 1


def _resolved(module: str, path: str, language: str) -> tuple[list[str], bool]:
    """The parts of an import, and whether they start at the workspace's root."""
    folder = list(PurePosixPath(path).parent.parts)
    text = _without_suffix(module) if "/" in module or language in ("c", "cpp") else module
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


def _path_parts(file: str) -> list[str]:
    return list(PurePosixPath(_without_suffix(file)).parts)


def _without_suffix(text: str) -> str:
    suffix = splitext(text)[1]
    return text.removesuffix(suffix) if language_of(text) is not UNKNOWN else text


def _akin(one: str, other: str) -> bool:
    return one == other or any(one in family and other in family for family in _FAMILIES)


@lru_cache(maxsize=4)
def _by_name(known: frozenset[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path in known:
        parts = _path_parts(path)
        for name in {*parts[-2:]}:
            found.setdefault(name, []).append(path)
    return found


MOST_FILES = 200
"""Most files that are read for one query, starting with the repository's own code. A name like
"get" is in thousands of files, more than a user would read."""

_MAX_TEXT = 160


class Relations:
    """Answers queries about definitions, uses, imports and tests from the index `store`."""

    def __init__(self, store: Store, workspace: Workspace) -> None:
        self._store = store
        self._workspace = workspace
        self._paths = store.paths()
        self._symbols: dict[str, list[Symbol]] = {}

    def definitions(self, name: str) -> list[Symbol]:
        """The definitions with this name ("push", "Stack.push"); those in tests come last."""
        wanted = dotted_name(name)
        last = wanted.rsplit(".", 1)[-1]
        found = self._store.definitions(last) if last else []
        qualified = [s for s in found if f".{s.name}".endswith(f".{wanted}")]
        return sorted(qualified or found, key=lambda s: (*self.sort_key(s.path), s.line))

    def references(
        self, name: str, *, calls_only: bool = False, only: Callable[[str], bool] = lambda _: True
    ) -> Iterator[Reference]:
        """The uses of a name, or only its calls, file by file and without definitions."""
        last = dotted_name(name).rsplit(".", 1)[-1]
        paths = self._calling(last) if calls_only else self._having(last)
        for path in sorted(filter(only, paths), key=self.sort_key)[:MOST_FILES]:
            yield from self._in_file(path, last, calls_only)

    def imports(self, path: str) -> list[str]:
        """The files of this workspace that a file imports, in the order of its lines."""
        read = structure_of(path, self._data(path))
        if read is None:
            return []
        found = (f for use in read.imports for f in modules_of(use.name, path, self._paths))
        return [other for other in dict.fromkeys(found) if other != path]

    def importers(self, module: str) -> list[Reference]:
        """The imports of a module ("a.b", "a/b") or file, the repository's own code first."""
        own = module if module in self._paths else ""
        found: list[Reference] = []
        for path in sorted(self._importing(module), key=self.sort_key):
            data = self._data(path)
            read = structure_of(path, data)
            for use in read.imports if read is not None else ():
                hits = is_module(own, use.name, path) if own else _same_module(use.name, module)
                if hits and path != own:
                    found.append(Reference(path, use.line, "import", "", _line(data, use.line)))
                    break
            if len(found) >= MOST_FILES:
                break
        return found

    def tests_for(self, path: str) -> list[str]:
        """The tests of a file: first by name, then by import, then by calls.

        In the last group, tests that call most of the file's definitions come first.
        """
        named = [p for p in self._paths if is_test(p) and _has_name_of(p, path)]
        importing = [one.path for one in self.importers(path) if is_test(one.path)]
        calls: dict[str, int] = {}
        for symbol in self._store.symbols(path):
            users = [p for p in self._calling(symbol.last) if is_test(p)]
            for user in users if len(users) <= 20 else ():
                calls[user] = calls.get(user, 0) + 1
        calling = sorted(calls, key=lambda p: (-calls[p], p))
        return [p for p in dict.fromkeys([*named, *importing, *calling]) if p != path]

    def enclosing(self, path: str, line: int) -> Symbol | None:
        """The innermost definition that contains a line, or None."""
        if path not in self._symbols:
            self._symbols[path] = self._store.symbols(path)
        inside = [s for s in self._symbols[path] if s.line <= line <= s.end_line]
        return inside[-1] if inside else None

    @staticmethod
    def sort_key(path: str) -> tuple[int, str]:
        """Sort key of a path: own code, then tests, then vendored code."""
        return is_test(path) + 2 * is_vendored(path), path

    # Files

    def _in_file(self, path: str, name: str, calls_only: bool) -> Iterator[Reference]:
        data = self._data(path)
        for one in mentions_of(path, data, name):
            if one.role == "definition" or (calls_only and one.role != "call"):
                continue
            symbol = self.enclosing(path, one.line)
            owner = symbol.name if symbol is not None else ""
            yield Reference(path, one.line, one.role, owner, _line(data, one.line))

    def _data(self, path: str) -> bytes:
        try:
            data = self._workspace.read_bytes(path, MAX_BYTES + 1)
        except (OSError, OutsideWorkspace):
            return b""
        return b"" if is_binary(data) else decode(data).text.encode("utf-8", "replace")

    # The index

    def _calling(self, name: str) -> set[str]:
        return self._matching("calls", [name])

    def _importing(self, module: str) -> set[str]:
        """Files with an import whose last parts are those of the module or file."""
        return {path for name in lookup_names(module) for path in self._matching("imports", [name])}

    def _having(self, name: str) -> set[str]:
        """Files that contain the name; for a name of two letters, files that call it."""
        whole = tokenizer.name_words(name)
        if not whole:
            return self._calling(name)
        rows = self._store.connection.execute(
            "SELECT DISTINCT files.path FROM chunk_words JOIN chunks ON chunks.id ="
            " chunk_words.rowid JOIN files ON files.id = chunks.file WHERE chunk_words MATCH ?",
            (f'"{whole[0]}"',),
        )
        return {os.fsdecode(path) for (path,) in rows}

    def _matching(self, column: str, names: Sequence[str]) -> set[str]:
        wanted = " AND ".join(f'"{name}"' for name in names if re.search(r"\w", name))
        if not wanted:
            return set()
        try:
            rows = self._store.connection.execute(
                "SELECT files.path FROM uses JOIN files ON files.id = uses.rowid"
                " WHERE uses MATCH ?",
                (f"{column} : ({wanted})",),
            ).fetchall()
        except sqlite3.OperationalError:  # not a valid full-text query
            return set()
        return {os.fsdecode(path) for (path,) in rows}


def dotted_name(name: str) -> str:
    """A name as users write it ("Stack.push()", "a::b"), with dots between its parts."""
    bare = re.split(r"[(<\s]", name.strip().strip("`'\""), maxsplit=1)[0]
    return re.sub(r"::|->|#", ".", bare).strip(".:")


def _same_module(module: str, other: str) -> bool:
    """Whether an import of `module` names `other`, or a name in `other`."""
    have, want = _parts(module), _parts(other)
    size = len(want)
    return bool(want) and any(have[n : n + size] == want for n in range(len(have) - size + 1))


def _parts(module: str) -> list[str]:
    return [part for part in re.split(r"[^\w@-]+", module) if part]


def _has_name_of(test: str, path: str) -> bool:
    stem = PurePosixPath(path).name.partition(".")[0].lower()
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", PurePosixPath(test).name.partition(".")[0]).lower()
    bare = re.sub(r"^(?:test|tests|spec)_|[_.-]?(?:tests?|spec)$", "", name)
    return bool(stem) and bare == re.sub(r"(?<=[a-z])(?=[A-Z])", "_", stem)


def _line(data: bytes, line: int) -> str:
    lines = data.split(b"\n")
    text = lines[line - 1].decode("utf-8", "replace").strip() if line <= len(lines) else ""
    return text[:_MAX_TEXT]
