"""The prompt files in `localagent/prompts/`, each replaceable by the user.

A prompt is a Markdown file with placeholders like `{{name}}`. A file of the same name below
`<config dir>/prompts/` replaces the shipped file. The replacement can use the same placeholders;
`check` reports unknown placeholders before any work starts.
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
"""The folder of a project's prompts, relative to its root."""


@dataclass(frozen=True, slots=True)
class PromptSource:
    """The owner of a prompt, and the name of the prompt's file."""

    whose: Literal["own", "project", "shipped", "plug-in"]
    file: str


class Prompts:
    """Finds prompt files and fills in their placeholders.

    The search order is `folders`, `texts` (by name), the shipped folder, `added` (the descriptions
    of plug-ins' tools). `files` maps names in `texts` and `added` to the path and SHA-256 of their
    file.
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
        self._unreported: set[tuple[str, str]] = set()

    def text(self, name: str) -> str:
        """The raw text of the prompt `name` ("workflow/system"), without a final newline.

        Raises ConfigError for a missing or unreadable prompt.
        """
        text = self._text(name)
        if name in self._files:
            self._unreported.add(self._files[name])
        return text

    def drain_reads(self) -> list[tuple[str, str]]:
        """The replacement files used since the last call, each with its SHA-256."""
        files, self._unreported = sorted(self._unreported), set()
        return files

    def _text(self, name: str) -> str:
        if name not in self._texts:
            self._texts[name] = self._load(name).rstrip("\n")
        return self._texts[name]

    def source(self, name: str) -> PromptSource:
        """The source of the prompt `name`. Raises ConfigError for an unknown name."""
        for folder in self._folders:
            if (folder / f"{name}.md").is_file():
                return PromptSource("own", str(folder / f"{name}.md"))
        if name in self._given:
            return PromptSource("project", f"{PROJECT}/{name}.md")
        if (SHIPPED / f"{name}.md").is_file():
            return PromptSource("shipped", str(SHIPPED / f"{name}.md"))
        if name in self._added:
            return PromptSource("plug-in", name)
        similar = difflib.get_close_matches(name, shipped_names(), 1)
        hint = f"did you mean {similar[0]}?" if similar else "localagent prompts list"
        raise ConfigError(f"there is no prompt {name!r}", hint)

    def _load(self, name: str) -> str:
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

        A placeholder inside a value is not expanded. Blank lines around an empty value are removed.
        Raises ConfigError for a placeholder without a value.
        """

        def value(match: re.Match[str]) -> str:
            key = match.group(1)
            if key not in values:
                raise _unknown(key, self.source(name).file, sorted(values))
            return values[key] or "\0"

        filled = _PLACEHOLDER.sub(value, self.text(name))
        return re.sub(r"\0\n*|\n*\0$", "", filled)

    def check(self) -> list[str]:
        """Warn about replacement files that replace no prompt or that omit a placeholder.

        Raises ConfigError for an unreadable file and for an unknown placeholder.
        """
        warnings = []
        for name in self._replaced():
            file = self.source(name).file
            if name in self._added:
                continue
            if name not in shipped_names():
                similar = difflib.get_close_matches(name, shipped_names(), 1)
                meant = f"; did you mean {similar[0]}?" if similar else ""
                warnings.append(f"{file} is not used: there is no prompt {name!r}{meant}")
                continue
            known = placeholders(_read(SHIPPED / f"{name}.md")[0])
            used = placeholders(self._text(name))
            for key in used:
                if key not in known:
                    raise _unknown(key, file, known)
            warnings += [
                f"{file} does not use {{{{{key}}}}}, so the model does not read it"
                for key in known
                if key not in used
            ]
        return warnings

    def _replaced(self) -> Iterator[str]:
        """The names of all replacement files."""
        names = dict.fromkeys(self._given)
        for folder in self._folders:
            for path in sorted(folder.rglob("*.md")) if folder.is_dir() else ():
                hidden = any(p.startswith((".", "_")) for p in path.relative_to(folder).parts)
                if not hidden and path.is_file():
                    names[path.relative_to(folder).with_suffix("").as_posix()] = None
        return iter(names)


def shipped_names() -> list[str]:
    """The names of all shipped prompts."""
    paths = SHIPPED.rglob("*.md")
    return sorted(path.relative_to(SHIPPED).with_suffix("").as_posix() for path in paths)


def placeholders(text: str) -> list[str]:
    """The distinct names of a text's placeholders, in the order of the text."""
    return list(dict.fromkeys(_PLACEHOLDER.findall(text)))


def _unknown(key: str, file: str, known: Sequence[str]) -> ConfigError:
    return ConfigError(
        f"the prompt {file} uses {{{{{key}}}}}, an unknown placeholder",
        f"it can use: {', '.join(known) or 'none'}",
    )


def _read(path: Path) -> tuple[str, str]:
    """Read a prompt's file; return its text and SHA-256."""
    try:
        data = path.read_bytes()
        return data.decode("utf-8-sig"), hashlib.sha256(data).hexdigest()
    except OSError as error:
        raise ConfigError(f"cannot read the prompt {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"cannot read the prompt {path}: byte {error.start} is not UTF-8"
        ) from None
