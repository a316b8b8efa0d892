"""Kinds of files by their paths: test, vendored, docs, data, code, or no text."""

from __future__ import annotations

import re
from functools import lru_cache

from localagent.code.languages import LANGUAGES, language_of

_PATHS = 100_000
"""Cached answers: a search asks about hundreds of paths."""

_OWN_TESTS = "|".join(
    rf"(?:{language.test_file})(?:{'|'.join(map(re.escape, language.suffixes))})"
    for language in LANGUAGES.values()
    if language.test_file
)
_TEST = re.compile(
    r"(?:^|/)(?:tests?|testsuites?|testing|__tests__|spec|specs|testdata|fixtures)/"
    r"|(?:^|/)(?:test_[^/]*|[^/]*_tests?|conftest)\.\w+$"
    r"|(?:^|/)[^/]*[._-](?:test|spec)\.\w+$"
    rf"|(?:^|/)[^/]*(?:{_OWN_TESTS})$"
)
_VENDORED = re.compile(r"(?:^|/)(?:_?vendor|vendored|third[_-]party|node_modules)/")
_PROSE = re.compile(
    r"(?:^|/)(?:README|CHANGES|CHANGELOG|HISTORY|NEWS|AUTHORS|CONTRIBUTORS|CONTRIBUTING"
    r"|MAINTAINERS|THANKS|CREDITS|INSTALL|TODO|NOTICE|COPYING|LICEN[CS]E)(?:-[A-Z0-9.]+)?$"
    r"|(?:^|/)(?:newsfragments|changelog\.d|whatsnew/fragments)/"
)
_DOCS = (".md", ".mdx", ".markdown", ".rst", ".txt", ".adoc", ".org")
_DATA = (
    *(".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".xml", ".svg", ".lock", ".sum", ".map"),
    *(".log", ".po", ".pot", ".snap", ".min.js", ".min.css", ".ipynb", ".geojson"),
)
_TOOLS = re.compile(r"(?:^|/)\.[^/]+(?:/|$)")
_NO_TEXT = (
    *(".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".ico", ".icns", ".tif", ".tiff", ".psd"),
    *(".mp3", ".mp4", ".wav", ".ogg", ".flac", ".avi", ".mov", ".webm", ".mkv"),
    *(".zip", ".gz", ".bz2", ".xz", ".zst", ".7z", ".rar", ".tar", ".tgz", ".jar", ".war", ".whl"),
    *(".exe", ".dll", ".so", ".dylib", ".a", ".o", ".obj", ".lib", ".class", ".pyc", ".wasm"),
    *(".pdf", ".doc", ".docx", ".xls", ".xlsx", ".ppt", ".pptx", ".odt", ".ods"),
    *(".woff", ".woff2", ".ttf", ".otf", ".eot", ".sqlite", ".sqlite3", ".db", ".gguf", ".npy"),
    *(".npz", ".parquet", ".pkl", ".pickle", ".pt", ".onnx", ".safetensors", ".bin", ".dat"),
)


@lru_cache(maxsize=_PATHS)
def is_test(path: str) -> bool:
    """Whether `path` looks like a test, by the habits of its language."""
    return _TEST.search(path) is not None


@lru_cache(maxsize=_PATHS)
def is_vendored(path: str) -> bool:
    """Whether `path` is in a folder for copies of other projects."""
    return _VENDORED.search(path) is not None


@lru_cache(maxsize=_PATHS)
def is_docs(path: str) -> bool:
    """Whether `path` is prose, not code.

    A changelog names a fix in the words of the fix, but not its place.
    """
    return path.lower().endswith(_DOCS) or _PROSE.search(path) is not None


@lru_cache(maxsize=_PATHS)
def is_data(path: str) -> bool:
    """Whether programs write or read `path`; hidden files and folders are settings of tools."""
    return path.lower().endswith(_DATA) or _TOOLS.search(path) is not None


def is_code(path: str) -> bool:
    """Whether `path` is in a programming language, by its suffix."""
    language = language_of(path)
    return language.is_code and bool(language.name)


def may_be_text(path: str) -> bool:
    """Whether a file may be text, by its suffix."""
    return not path.lower().endswith(_NO_TEXT)
