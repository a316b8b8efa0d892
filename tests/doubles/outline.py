"""The symbols of a text, parsed in this process."""

from __future__ import annotations

from localagent.code.languages import language_of
from localagent.code.structure import structure
from localagent.code.symbols import Symbol, symbols


def outline(path: str, text: str) -> list[Symbol]:
    """The symbols of `text` as the file `path`; none in a language without definitions."""
    language = language_of(path)
    data = text.encode("utf-8", "replace")
    return symbols(path, structure(language.name, data) if language.can("definitions") else None)
