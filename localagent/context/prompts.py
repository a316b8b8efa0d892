"""The texts that the model sees: files in `localagent/prompts/`, each replaceable by the user.

A prompt is a Markdown file with placeholders written `{{name}}`. A file of the same name below
`<config dir>/prompts/` takes the place of the one that ships. It can use the placeholders that the
shipped one does; `check` finds those that it cannot before any work is done.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from localagent.core.errors import ConfigError

_PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")
_NONE: Mapping[str, str] = MappingProxyType({})
_NO_FILES: Mapping[str, tuple[str, str]] = MappingProxyType({})
SHIPPED = Path(__file__).resolve().parent.parent / "prompts"
PROJECT = ".localagent/prompts"
"""Where a project's lie, relative to its root."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where the text of a prompt is from, and its file, as people know it."""

    whose: Literal["own", "project", "shipped", "plug-in"]
    file: str


class Prompts:
    """Finds prompt files and fills in their placeholders.

    `folders` are searched in order, then `texts` (by name), then the shipped folder, then `added`:
    what plug-ins say of their tools. `files` has, for names of `texts` and `added`, the file that
    each is from and its SHA-256.
    """

    def __init__(
        self,
        folders: Sequence[Path] = (),
        texts: Mapping[str, str] = _NONE,
        added: Mapping[str, str] = _NONE,
        files: Mapping[str, tuple[str, str]] = _NO_FILES,
    ) -> None:
        self._added = dict(added)
        self._folders = tuple(folders)
        self._given = dict(texts)
        self._texts: dict[str, str] = {}
        self._files = dict(files)
        self._untold: dict[tuple[str, str], None] = {}

    def text(self, name: str) -> str:
        """The raw text of the prompt `name` ("workflow/system"), without a final newline.

        Raises ConfigError where there is no such prompt or it cannot be read.
        """
        text = self._text(name)
        if name in self._files:
            self._untold[self._files[name]] = None
        return text

    def drain_reads(self) -> list[tuple[str, str]]:
        """The files that are not shipped ones and whose text was used since the last call, each
        with its SHA-256."""
        found = []
        while self._untold:
            found.append(self._untold.popitem()[0])
        return sorted(found)

    def _text(self, name: str) -> str:
        if name not in self._texts:
            self._texts[name] = self._found(name).rstrip("\n")
        return self._texts[name]

    def source(self, name: str) -> Source:
        """Where the prompt `name` is from. Raises ConfigError where there is none."""
        for folder in self._folders:
            if (folder / f"{name}.md").is_file():
                return Source("own", str(folder / f"{name}.md"))
        if name in self._given:
            return Source("project", f"{PROJECT}/{name}.md")
        if (SHIPPED / f"{name}.md").is_file():
            return Source("shipped", str(SHIPPED / f"{name}.md"))
        if name in self._added:
            return Source("plug-in", name)
        near = difflib.get_close_matches(name, shipped_names(), 1)
        hint = f"did you mean {near[0]}?" if near else "localagent prompts list"
        raise ConfigError(f"there is no prompt {name!r}", hint)

    def _found(self, name: str) -> str:
        source = self.source(name)
        if source.whose == "plug-in":
            return self._added[name]
        if source.whose == "project":
            return self._given[name]
        text, digest = _read(Path(source.file))
        if source.whose == "own":
            self._files[name] = (source.file, digest)
        return text

    def render(self, name: str, **values: str) -> str:
        """The prompt `name` with its placeholders filled in.

        Values are put in as they are: a placeholder inside a value is not expanded. Blank lines
        that an empty value leaves behind are removed. Raises ConfigError where the prompt asks for
        a value that this place does not have.
        """

        def value(match: re.Match[str]) -> str:
            key = match.group(1)
            if key not in values:
                raise _unknown(key, self.source(name).file, sorted(values))
            return values[key] or "\0"

        filled = _PLACEHOLDER.sub(value, self.text(name))
        return re.sub(r"\0\n*|\n*\0$", "", filled)

    def check(self) -> list[str]:
        """Look at everything that takes the place of a shipped prompt, and return what a person
        should know of it: files that take the place of nothing, and placeholders that are left out.

        Raises ConfigError, with the file, where one cannot be read or uses what is not there.
        """
        told = []
        for name in self._replaced():
            file = self.source(name).file
            if name in self._added:
                continue
            if name not in shipped_names():
                near = difflib.get_close_matches(name, shipped_names(), 1)
                meant = f"; did you mean {near[0]}?" if near else ""
                told.append(f"{file} is not used: there is no prompt {name!r}{meant}")
                continue
            there = placeholders(_read(SHIPPED / f"{name}.md")[0])
            used = placeholders(self._text(name))
            for key in used:
                if key not in there:
                    raise _unknown(key, file, there)
            told += [
                f"{file} does not use {{{{{key}}}}}, so the model is not shown it"
                for key in there
                if key not in used
            ]
        return told

    def _replaced(self) -> Iterator[str]:
        """The names of all files that are not shipped ones."""
        names = dict.fromkeys(self._given)
        for folder in self._folders:
            for path in sorted(folder.rglob("*.md")) if folder.is_dir() else ():
                hidden = any(p.startswith((".", "_")) for p in path.relative_to(folder).parts)
                if not hidden and path.is_file():
                    names[path.relative_to(folder).with_suffix("").as_posix()] = None
        return iter(names)


def shipped_names() -> list[str]:
    """The names of all prompts."""
    found = SHIPPED.rglob("*.md")
    return sorted(path.relative_to(SHIPPED).with_suffix("").as_posix() for path in found)


def placeholders(text: str) -> list[str]:
    """The names of a text's placeholders, each once, in their order."""
    return list(dict.fromkeys(_PLACEHOLDER.findall(text)))


def _unknown(key: str, file: str, known: Sequence[str]) -> ConfigError:
    return ConfigError(
        f"the prompt {file} uses {{{{{key}}}}}, which is not known there",
        f"it can use: {', '.join(known) or 'none'}",
    )


def _read(path: Path) -> tuple[str, str]:
    """The text of a prompt's file, and the file's SHA-256."""
    try:
        data = path.read_bytes()
        return data.decode("utf-8-sig"), hashlib.sha256(data).hexdigest()
    except OSError as error:
        raise ConfigError(f"cannot read the prompt {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"cannot read the prompt {path}: byte {error.start} is not UTF-8"
        ) from None
