"""The texts that the model sees: files in `localagent/prompts/`, each replaceable by the user.

A prompt is a Markdown file with placeholders written `{{name}}`. A file of the same name below
`<config dir>/prompts/` takes the place of the one that ships.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from localagent.errors import ConfigError

_PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")
_NONE: Mapping[str, str] = MappingProxyType({})
SHIPPED = Path(__file__).resolve().parent.parent / "prompts"


class Prompts:
    """Finds prompt files and fills in their placeholders.

    `folders` are searched in order, then `texts` (by name), then the shipped folder.
    """

    def __init__(self, folders: Sequence[Path] = (), texts: Mapping[str, str] = _NONE) -> None:
        self._folders = tuple(folders)
        self._given = dict(texts)
        self._texts: dict[str, str] = {}

    def text(self, name: str) -> str:
        """The raw text of the prompt `name` ("workflow/system"), without a final newline.

        Raises ConfigError where there is no such prompt or it cannot be read.
        """
        if name not in self._texts:
            self._texts[name] = self._found(name).rstrip("\n")
        return self._texts[name]

    def _found(self, name: str) -> str:
        for folder in self._folders:
            if (folder / f"{name}.md").is_file():
                return _read(folder / f"{name}.md")
        if name in self._given:
            return self._given[name]
        if (SHIPPED / f"{name}.md").is_file():
            return _read(SHIPPED / f"{name}.md")
        raise ConfigError(f"there is no prompt {name!r}")

    def render(self, name: str, **values: str) -> str:
        """The prompt `name` with its placeholders filled in.

        Values are put in as they are: a placeholder inside a value is not expanded. Blank lines
        that an empty value leaves behind are removed. Raises ConfigError where the prompt asks for
        a value that this place does not have.
        """

        def value(match: re.Match[str]) -> str:
            key = match.group(1)
            if key not in values:
                known = ", ".join(sorted(values)) or "none"
                raise ConfigError(
                    f"the prompt {name!r} uses {{{{{key}}}}}, which is not known here",
                    f"it can use: {known}",
                )
            return values[key] or "\0"

        filled = _PLACEHOLDER.sub(value, self.text(name))
        return re.sub(r"\0\n*|\n*\0$", "", filled)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the prompt {path}: {error}") from None
