"""The texts that the model sees: files in `localagent/prompts/`, each replaceable by the user.

A prompt is a Markdown file with placeholders written `{{name}}`. A file of the same name below
`<config dir>/prompts/` takes the place of the one that ships.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from localagent.errors import ConfigError

_PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")
SHIPPED = Path(__file__).resolve().parent.parent / "prompts"


class Prompts:
    """Finds prompt files and fills in their placeholders.

    `folders` are searched in order; the shipped folder is always the last one.
    """

    def __init__(self, folders: Sequence[Path] = ()) -> None:
        self._folders = (*folders, SHIPPED)
        self._texts: dict[str, str] = {}

    def text(self, name: str) -> str:
        """The raw text of the prompt `name` ("workflow/system"), without a final newline.

        Raises ConfigError where there is no such prompt or it cannot be read.
        """
        if name not in self._texts:
            for folder in self._folders:
                path = folder / f"{name}.md"
                if path.is_file():
                    try:
                        self._texts[name] = path.read_text(encoding="utf-8").rstrip("\n")
                    except (OSError, UnicodeDecodeError) as error:
                        raise ConfigError(f"cannot read the prompt {path}: {error}") from None
                    break
            else:
                raise ConfigError(f"there is no prompt {name!r}")
        return self._texts[name]

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
