"""Slash commands that run commands of the command line."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from localagent.core.errors import UsageError
from localagent.permissions.consent import RULES
from localagent.session.factory import use_project_files
from localagent.ui.chat.commands.command import SlashCommand, from_words, nothing_after
from localagent.ui.chat.interface import Item, PickerChoice
from localagent.ui.chat.output import Output

if TYPE_CHECKING:
    from localagent.ui.chat.chat import LiveChat

_FORMATS = {"md": "markdown", "html": "html", "json": "json", "jsonl": "jsonl"}
_INIT_CHOICES = (
    PickerChoice("no", "write nothing"),
    PickerChoice("yes", "write AGENTS.md (replaces an existing one)"),
)


def run_words(chat: LiveChat, words: Sequence[str]) -> Sequence[Output]:
    """Run a command line in the session's workspace, and return its outputs."""
    root = chat.session.services.workspace.root
    return chat.command_line(words, root, lambda: chat.cancelled)


def _words(text: str) -> list[str]:
    """Split a line into words, as a shell does. Raises UsageError."""
    try:
        return shlex.split(text)
    except ValueError:
        raise UsageError("a quote is not closed", 'put "…" around an apostrophe') from None


def _command(name: str, arguments: str, help: str, default: str, *actions: str) -> SlashCommand:
    """Make `/name` run `localagent name`; without arguments, `localagent name default`."""

    def run(chat: LiveChat, text: str) -> Iterator[Item]:
        yield from run_words(chat, [name, *_words(text or default)])

    return SlashCommand(name, arguments, help, run, from_words(*actions))


def _export(chat: LiveChat, text: str) -> Iterator[Item]:
    words = _words(text)
    suffix = words[0].rpartition(".")[2].lower() if len(words) == 1 else ""
    if suffix not in _FORMATS:
        known = ", ".join(f".{each}" for each in _FORMATS)
        raise UsageError("/export takes a file's name", f"the name must end in one of: {known}")
    options = ["--format", _FORMATS[suffix], "-o", words[0]]
    yield from run_words(chat, ["sessions", "export", chat.session.id, *options])


def _init(chat: LiveChat, text: str) -> Iterator[Item]:
    nothing_after("init", text)
    yield from run_words(chat, ["init", "--print"])
    yield from chat.request("pick", title="Write this AGENTS.md?", choices=_INIT_CHOICES)
    if chat.response() == "yes":
        outputs = run_words(chat, ["init", "--yes"])
        chat.written.append(RULES)
        # The text of AGENTS.md is on the screen already.
        yield from (output for output in outputs if output.kind != "text")


def _trust(chat: LiveChat, text: str) -> Iterator[Item]:
    if text:
        yield from run_words(chat, ["trust", *_words(text)])
        use_project_files(chat.session)
        chat.read_user_commands()
        return
    yield from chat.trust_prompt.ask(chat, again=True)
    yield from run_words(chat, ["trust", "list"])


MODELS = _command("models", "[ACTION …]", "the models on this machine", "list", "list", "verify")
INDEX = _command("index", "[status|build|drop]", "the index", "status", "status", "build", "drop")
MAP = _command("map", "[PATH]", "what the repository or a file defines", ".")
DOCTOR = _command("doctor", "", "what this machine has, and whether a run would work", "--quick")
SEARCH = _command("search", "QUERY", "find code: in words, or def: ref: calls: …", "")
SESSIONS = _command("sessions", "[ACTION …]", "recorded sessions", "list", "list", "rename", "show")
PERMISSIONS = _command(
    "permissions", "[ACTION …]", "what is allowed without asking", "list", "list"
)
AUDIT = _command("audit", "[ACTION …]", "what sessions did", "list", "list", "verify", "show")
CONFIG = _command("config", "[ACTION …]", "settings", "show", "show", "set", "unset", "path")
TRUST = SlashCommand(
    *("trust", "[ACTION …]", "the project's rules, commands and plug-ins: use them?"),
    _trust,
    from_words("list", "show", "remove"),
)
EXPORT = SlashCommand("export", "FILE", "this session as .md, .html, .json or .jsonl", _export)
INIT = SlashCommand("init", "", "write an AGENTS.md from the repository's files", _init)
