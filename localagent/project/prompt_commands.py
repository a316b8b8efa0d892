"""Commands from Markdown files of the user and of a project; a command's text becomes a task.

    <config>/commands/NAME.md          the user's
    .localagent/commands/NAME.md       a project's, once the user agreed to its text

    ---
    description: Review a file, change nothing
    mode: plan
    arguments: FILE [WHAT]
    ---
    Review $1 with an eye on ${2:-mistakes}. All arguments: $ARGUMENTS

A front end uses this module in three steps:

    commands = prompt_commands(project)
    command = commands.get("review")                 # UsageError if there is no such command
    session.run(command.task('src/app.py "tests"'))  # UsageError if an argument is missing

For this turn, the front end sets the session's mode to `command.mode_from(session.mode)`.

`$ARGUMENTS` stands for all arguments, and `$1` to `$9` stand for single words, quoted as in a
shell. `${1:-default}` and `${ARGUMENTS:-default}` have a default. `\\$1` is a literal "$1". If a
text has no placeholder, the arguments are added at its end. No part of the text is run as a
command, and placeholders in arguments are not replaced.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from localagent.core.errors import UsageError
from localagent.core.events import MODES, Mode
from localagent.core.paths import config_dir
from localagent.edits.textfile import sha256
from localagent.permissions.consent import MAX_FILES, ProjectFile
from localagent.project.project import Project, read_user_file

_FENCE = "---"
_ENTRY = re.compile(r"([A-Za-z][\w-]*)\s*:(?:\s+(.*))?$")


def split(text: str) -> tuple[dict[str, str], str]:
    """Split `text` into the values of its front matter, by key, and the text after that.

    Raises ValueError with the number of the invalid line.
    """
    lines = text.splitlines()
    if not lines or lines[0].rstrip() != _FENCE:
        return {}, text
    values: dict[str, str] = {}
    for number, line in enumerate(lines[1:], 2):
        if line.rstrip() == _FENCE:
            return values, "\n".join(lines[number:])
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        entry = _ENTRY.match(line)
        if entry is None:
            raise ValueError(f"line {number} is not 'key: value': {line.strip()[:60]!r}")
        values[entry[1]] = _plain((entry[2] or "").strip())
    raise ValueError("the front matter has no closing line '---'")


def _plain(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1]
    return value


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_KEYS = ("description", "mode", "arguments")
# Names that other agents use for our keys.
_ALIASES = {"argument-hint": "arguments"}
_PLACE = re.compile(
    r"\\\$|\$(?:(?P<word>[1-9](?!\d)|ARGUMENTS\b)"
    r"|\{(?P<braced>[1-9]|ARGUMENTS)(?::-(?P<default>[^{}]*))?\})"
)


@dataclass(frozen=True, slots=True)
class PromptCommand:
    """One command from the file `path`, whose hash is `sha256`.

    `project` is True for a project's command, and False for the user's. `mode` is the mode of the
    command's turns; None means the session's mode. With `bound`, `mode` can only make the session's
    mode stricter. `arguments` describes the arguments, such as "FILE [WHAT]", or is "".
    """

    name: str
    text: str
    path: str
    project: bool = False
    description: str = ""
    mode: Mode | None = None
    bound: bool = False
    arguments: str = ""
    sha256: str = ""

    def task(self, given: str | Sequence[str] = "") -> str:
        """The task: the command's text with its placeholders replaced by the arguments `given`.

        `given` is one line, or a list of words. Raises UsageError if an argument without a default
        is missing, or if a quote is not closed.
        """
        everything = given.strip() if isinstance(given, str) else " ".join(given)
        used = False

        def value(match: re.Match[str]) -> str:
            nonlocal used
            key, default = match["word"] or match["braced"], match["default"]
            if key is None:
                return "$"
            used = True
            if key == "ARGUMENTS":
                return everything or default or ""
            words = self._words(given)
            found = "".join(words[int(key) - 1 : int(key)])
            if not found and default is None:
                raise self._missing(int(key), len(words))
            return found or default or ""

        filled = _PLACE.sub(value, self.text).strip()
        return filled if used or not everything else f"{filled}\n\n{everything}"

    def mode_from(self, now: Mode) -> Mode:
        """The mode of the command's turn in a session with the mode `now`."""
        if self.mode is None:
            return now
        if self.bound:
            return MODES[min(MODES.index(self.mode), MODES.index(now))]
        return self.mode

    def _words(self, given: str | Sequence[str]) -> Sequence[str]:
        if not isinstance(given, str):
            return given
        try:
            return shlex.split(given)
        except ValueError:
            raise UsageError(
                f"a quote in the arguments of the command {self.name} is not closed",
                'arguments are quoted as in a shell; put "…" around a word with an apostrophe',
            ) from None

    def _missing(self, wanted: int, given: int) -> UsageError:
        said = f"{given} argument{'' if given == 1 else 's'}"
        return UsageError(
            f"the command {self.name} needs at least {wanted}, but got {said}",
            f"arguments: {self.arguments}"
            if self.arguments
            else f"the command's text uses ${wanted}",
        )


@dataclass(frozen=True, slots=True)
class PromptCommands:
    """All commands by name. `unusable` has an error for each file that is not used.

    `warnings` report mistakes and unknown keys in the files.
    """

    found: Mapping[str, PromptCommand] = field(default_factory=dict)
    unusable: Mapping[str, UsageError] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def get(self, name: str) -> PromptCommand:
        """The command with the name `name`, such as "review" or "/review". Raises UsageError."""
        wanted = name.removeprefix("/")
        if wanted in self.found:
            return self.found[wanted]
        if wanted in self.unusable:
            raise self.unusable[wanted]
        known = ", ".join(self.found)
        raise UsageError(
            f"unknown command {wanted!r}",
            f"the commands are: {known}" if known else f"put your commands into {user_folder()}",
        )


def user_folder() -> Path:
    """The folder of the user's commands; the folder may not exist."""
    return config_dir() / "commands"


def prompt_commands(project: Project) -> PromptCommands:
    """The user's commands, and the project's commands that the user agreed to.

    If both have a command of the same name, the user's is used. A project's command can only make
    the session's mode stricter. If the policy locks the mode, this holds for the user's commands
    too.
    """
    mode_locked = any("mode" in table for table in project.policy.settings.values())
    files = project.files
    found: dict[str, PromptCommand] = {}
    unusable = {Path(f.path).stem: _waiting(f) for f in files.pending if f.kind == "command"}
    warnings: list[str] = []
    own = [(str(path), partial(read_user_file, path), False) for path in _user_files()]
    brought = [(f.path, partial(bytes, f.data), True) for f in files.of("command")]
    for path, data, is_project in (*own, *brought):
        name = Path(path).stem
        if name in found:
            warnings.append(f"{path} is not used: {found[name].path} has the same name")
            continue
        try:
            found[name], unknown = _read(name, path, data(), is_project, mode_locked)
        except ValueError as error:
            unusable[name] = UsageError(
                f"{path} is not used: {error}", "see: localagent docs extending"
            )
            warnings.append(f"{path} is not used: {error}")
            continue
        if unknown:
            warnings.append(f"{path}: unknown keys in the front matter: {', '.join(unknown)}")
    return PromptCommands(dict(sorted(found.items())), unusable, tuple(warnings))


def _waiting(file: ProjectFile) -> UsageError:
    return UsageError(
        f"{file.path} of this project is not used: you have not agreed to its present text",
        f"localagent trust add {shlex.quote(file.path)}",
    )


def _user_files() -> list[Path]:
    folder = user_folder()
    paths = sorted(folder.glob("*.md")) if folder.is_dir() else []
    return [path for path in paths if not path.name.startswith((".", "_"))][:MAX_FILES]


def _read(
    name: str, path: str, data: bytes, project: bool, mode_locked: bool
) -> tuple[PromptCommand, list[str]]:
    """Parse a command's file; returns the command and unknown keys. Raises ValueError."""
    if not _NAME.fullmatch(name):
        raise ValueError("a command's name may only contain letters, digits, - and _")
    values, body = split(data.decode("utf-8-sig", "replace"))
    values = {_ALIASES.get(key, key): value for key, value in values.items()}
    if not body.strip():
        raise ValueError("the file has no text after the front matter")
    command = PromptCommand(
        *(name, body.strip(), path, project),
        description=values.get("description", "") or _first_line(body),
        mode=_mode(values.get("mode", "")),
        bound=project or mode_locked,
        arguments=values.get("arguments", ""),
        sha256=sha256(data),
    )
    return command, [key for key in values if key not in _KEYS]


def _mode(text: str) -> Mode | None:
    if not text:
        return None
    for mode in MODES:
        if mode == text:
            return mode
    raise ValueError(f"unknown mode {text!r}; the modes are {', '.join(MODES)}")


def _first_line(body: str) -> str:
    line = body.strip().splitlines()[0].lstrip("# ").strip()
    return line if len(line) <= 72 else line[:71] + "…"
