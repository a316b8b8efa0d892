"""Commands that are those of the command line, carried out as such: a process of their own, started
in the workspace, with what was entered as its arguments."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from localagent.core.errors import UsageError
from localagent.core.interpreter import environment, python
from localagent.session.factory import use_project_files
from localagent.ui.chat.commands.command import Command, from_words, nothing_after
from localagent.ui.chat.interface import Choice, Item, Output

if TYPE_CHECKING:
    from localagent.ui.chat.chat import LiveChat

_FORMATS = {"md": "markdown", "html": "html", "json": "json", "jsonl": "jsonl"}
_LOOK_SECONDS = 0.05
_NAME, _HINT = "localagent: ", "hint: "


def words_of(text: str) -> list[str]:
    """The words of what was entered, as a shell tells them apart. Raises UsageError."""
    try:
        return shlex.split(text)
    except ValueError:
        raise UsageError("a quote is not closed", 'put "…" around an apostrophe') from None


def carried_out(chat: LiveChat, words: Sequence[str]) -> Iterator[Item]:
    """What the command line shows for these words."""
    command = python("-m", "localagent", *words)
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command,
        cwd=chat.session.services.workspace.root,
        env={**environment(), "NO_COLOR": "1"},
        stdin=subprocess.DEVNULL,
        stdout=pipe,
        stderr=pipe,
        text=True,
        encoding="utf-8",
        errors="replace",
    ) as process:
        while True:
            try:
                out, err = process.communicate(timeout=_LOOK_SECONDS)
                break
            except subprocess.TimeoutExpired:
                if chat.cancelled:
                    process.kill()
    if out.strip():
        yield Output("text", out.rstrip("\n"))
    if chat.cancelled:
        yield Output("note", "stopped")
    elif err.strip():
        yield _told(err, process.returncode)


def _told(err: str, code: int) -> Output:
    """What the command line wrote to stderr."""
    lines = err.strip().splitlines()
    errors = [line.partition("error: ")[2] for line in lines if "error: " in line]
    if not code or not errors:
        return Output("note", "\n".join(line.removeprefix(_NAME) for line in lines))
    hints = [line.removeprefix(_HINT) for line in lines if line.startswith(_HINT)]
    return Output("error", errors[0], hint=hints[0] if hints else "")


def _line(name: str, arguments: str, text: str, usual: str, *actions: str) -> Command:
    """`/name` as `localagent name`, and as `localagent name usual` where nothing comes after it."""

    def run(chat: LiveChat, given: str) -> Iterator[Item]:
        yield from carried_out(chat, [name, *words_of(given or usual)])

    return Command(name, arguments, text, run, from_words(*actions))


def _export(chat: LiveChat, text: str) -> Iterator[Item]:
    words = words_of(text)
    kind = words[0].rpartition(".")[2].lower() if len(words) == 1 else ""
    if kind not in _FORMATS:
        known = ", ".join(f".{suffix}" for suffix in _FORMATS)
        raise UsageError("/export takes a file's name", f"that ends in one of: {known}")
    given = ["--format", _FORMATS[kind], "-o", words[0]]
    yield from carried_out(chat, ["sessions", "export", chat.session.id, *given])


def _init(chat: LiveChat, text: str) -> Iterator[Item]:
    nothing_after("init", text)
    yield from carried_out(chat, ["init", "--print"])
    choices = (Choice("no", "write nothing"), Choice("yes", "write it, or in the place of the old"))
    yield from chat.request("pick", title="Write this AGENTS.md?", choices=choices)
    if chat.response() == "yes":
        written = carried_out(chat, ["init", "--yes"])
        yield from (item for item in written if not _is_text(item))  # it is on the screen already


def _trust(chat: LiveChat, text: str) -> Iterator[Item]:
    if text:
        yield from carried_out(chat, ["trust", *words_of(text)])
        use_project_files(chat.session)
        chat.read_own_commands()
        return
    yield from chat.trust_prompt.ask(chat, again=True)
    yield from carried_out(chat, ["trust", "list"])


def _is_text(item: Item) -> bool:
    return isinstance(item, Output) and item.kind == "text"


MODELS = _line("models", "[ACTION …]", "the models on this machine", "list", "list", "verify")
INDEX = _line("index", "[status|build|drop]", "the index", "status", "status", "build", "drop")
SEARCH = _line("search", "QUERY", "find code: in words, or def: ref: calls: …", "")
SESSIONS = _line("sessions", "[ACTION …]", "recorded sessions", "list", "list", "rename", "show")
PERMISSIONS = _line("permissions", "[ACTION …]", "what need not be asked", "list", "list")
AUDIT = _line("audit", "[ACTION …]", "what sessions did", "list", "list", "verify", "show")
CONFIG = _line("config", "[ACTION …]", "settings", "show", "show", "set", "unset", "path")
TRUST = Command(
    *("trust", "[ACTION …]", "the project's own rules, commands and plug-ins: use them?"),
    _trust,
    from_words("list", "show", "remove"),
)
EXPORT = Command("export", "FILE", "this session as .md, .html, .json or .jsonl", _export)
INIT = Command("init", "", "an AGENTS.md from what the repository shows, on request", _init)
