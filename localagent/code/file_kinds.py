"""Tells the kind of a file by its path: test, vendored, docs, data, code, or binary."""

from __future__ import annotations

import re
from functools import lru_cache

from localagent.code.languages import LANGUAGES, language_of

_PATHS = 100_000
"""Number of cached answers: one search asks about hundreds of paths."""

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
    """Whether `path` is named like a test, by the conventions of its language."""
    return _TEST.search(path) is not None


@lru_cache(maxsize=_PATHS)
def is_vendored(path: str) -> bool:
    """Whether `path` is in a folder that customarily holds copies of other projects."""
    return _VENDORED.search(path) is not None


@lru_cache(maxsize=_PATHS)
def is_docs(path: str) -> bool:
    """Whether `path` is prose, not code.

    A changelog is prose, too: it has the words of a fix, but is not the place to fix.
    """
    return path.lower().endswith(_DOCS) or _PROSE.search(path) is not None


@lru_cache(maxsize=_PATHS)
def is_data(path: str) -> bool:
    """Whether `path` is data or settings, such as a hidden file or a file in a hidden folder."""
    return path.lower().endswith(_DATA) or _TOOLS.search(path) is not None


def is_code(path: str) -> bool:
    """Whether the suffix of `path` is that of a programming language."""
    language = language_of(path)
    return language.is_code and bool(language.name)


def may_be_text(path: str) -> bool:
    """Whether a file's suffix allows text."""
    return not path.lower().endswith(_NO_TEXT)
