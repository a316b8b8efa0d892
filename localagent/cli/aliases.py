"""The habits of other programs' users: their command lines, as localagent's own or as one sentence.

`translate` runs before the parser. It changes words that mean the same here, and raises UsageError
with a sentence for words that mean nothing here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from localagent.core.errors import UsageError

_RUN = ("run", "exec")
_PRINT = ("-p", "--print")
_FORMAT = ("--output-format", "--format")
_MESSAGE = ("--message", "--msg")
# Options that a session does not have, so a bare task with one of them is run.
_ONLY_RUN = (
    *_FORMAT,
    "--json",
    "--json-result",
    "--yes",
    "--max-seconds",
    "--max-tokens",
    "--seed",
)

_NO_ACCOUNT = "no account and no key is needed: the model runs on this machine"
_NO_SERVERS = "localagent has no MCP servers; localagent docs extending shows how to add a tool"
_MODES = "--mode plan, ask, auto-edit or auto says what needs no question"
_CHECK = "--check CMD judges every change; /check CMD in a session sets it"
_PLAN = "/plan TASK in a session plans first, /plan run carries it out"
_AUTO = "--mode auto changes files and runs commands in the sandbox; localagent run has --yes"

_COMMANDS: dict[str, str] = {
    **dict.fromkeys(("login", "logout", "auth", "whoami"), _NO_ACCOUNT),
    **dict.fromkeys(("update", "upgrade"), "localagent never updates itself: git pull does"),
    **dict.fromkeys(("mcp", "mcp-server"), _NO_SERVERS),
    **dict.fromkeys(("chat", "start", "repl", "tui"), "localagent alone starts a session"),
    **dict.fromkeys(("serve", "server", "web"), "there is no server; run --json writes events"),
    **dict.fromkeys(("agent", "agents"), "localagent has no subagents; it works alone"),
    **dict.fromkeys(("resume", "continue"), "localagent --continue, or --resume ID"),
    **dict.fromkeys(("history", "ls"), "localagent sessions list shows the recorded sessions"),
    **dict.fromkeys(
        ("cost", "usage", "stats"), "nothing is billed; /cost in a session counts its tokens"
    ),
    **dict.fromkeys(("install", "pull", "download"), "localagent models fetch gets the model"),
    **dict.fromkeys(("setup", "status", "info"), "localagent doctor shows what this machine has"),
    **dict.fromkeys(("ask", "fix", "edit"), 'put the task in quotes: localagent "fix the test"'),
    **dict.fromkeys(("test", "check"), "/check in a session runs the project's check"),
    "commit": "/commit in a session commits; localagent commit-message writes only the message",
    "diff": "/diff in a session shows the last turn's changes; git diff shows all",
    "plan": "/plan TASK in a session, or localagent --mode plan",
    "rewind": "localagent undo takes back a turn; Esc Esc in a session goes back",
    "share": "localagent sessions export writes a session to a file; nothing leaves the machine",
}
"""For each command of other programs: the sentence that names what does the same here."""

_OPTIONS: dict[str, str] = {
    **dict.fromkeys(
        (
            *("--dangerously-skip-permissions", "--allow-dangerously-skip-permissions"),
            *("--dangerously-bypass-approvals-and-sandbox", "--full-auto", "--yolo"),
        ),
        _AUTO,
    ),
    **dict.fromkeys(("--yes", "--yes-always", "-y"), _AUTO),
    **dict.fromkeys(("--permission-mode", "--approval-mode", "--ask-for-approval", "-a"), _MODES),
    **dict.fromkeys(("--image", "-i", "--images"), "localagent reads no images"),
    **dict.fromkeys(("--mcp-config", "--mcp"), _NO_SERVERS),
    **dict.fromkeys(
        ("--system-prompt", "--append-system-prompt"),
        "AGENTS.md holds rules for the model; localagent prompts shows every prompt",
    ),
    **dict.fromkeys(
        ("--allowedTools", "--disallowedTools", "--allowed-tools", "--disallowed-tools"),
        "permission rules are in the settings: localagent docs config",
    ),
    **dict.fromkeys(("--cd", "--cwd", "--dir"), "-C DIR chooses the folder"),
    "--add-dir": "localagent works in one folder, which -C DIR chooses",
    "--max-turns": "--max-seconds N or --max-tokens N limits localagent run",
    **dict.fromkeys(("--verbose", "--debug", "-v"), "localagent run --json writes every event"),
    **dict.fromkeys(("--api-key", "--openai-api-key", "--anthropic-api-key"), _NO_ACCOUNT),
    **dict.fromkeys(("--file", "--read"), 'name the file in the task: "fix @src/app.py"'),
    **dict.fromkeys(
        ("--no-git", "--no-auto-commits", "--auto-commits"), "localagent commits only on /commit"
    ),
    **dict.fromkeys(("--message-file", "-f"), "localagent run - < FILE reads the task from a file"),
    "--watch-files": 'localagent reads no tasks from comments: localagent "fix @src/app.py"',
    **dict.fromkeys(("--architect", "--chat-mode", "--edit-format"), _PLAN),
    **dict.fromkeys(("--test-cmd", "--auto-test", "--test"), _CHECK),
    **dict.fromkeys(("--lint-cmd", "--auto-lint", "--lint"), _CHECK),
    "--commit": _COMMANDS["commit"],
    "--undo": "localagent undo takes back a turn",
    "--dry-run": "--mode plan reads only; localagent undo takes back a change",
    "--list-models": "localagent models lists the models on this machine",
    **dict.fromkeys(("--map-tokens", "--show-repo-map"), "localagent map shows the repository"),
    "--restore-chat-history": "localagent --continue continues the last session",
    **dict.fromkeys(("--load", "--apply"), "localagent batch carries out many tasks"),
    **dict.fromkeys(("--weak-model", "--editor-model"), "localagent config set roles.small ID"),
    "--timeout": "--max-seconds N limits localagent run",
    "--vim": "localagent config set edit_mode vi",
    **dict.fromkeys(("--dark-mode", "--light-mode"), "/theme in a session picks the colors"),
    **dict.fromkeys(("--gui", "--browser"), "localagent has no web page, only the terminal"),
    **dict.fromkeys(("--config", "--env-file"), "settings: localagent docs config"),
    **dict.fromkeys(("--search", "--web-search"), "localagent has no access to the network"),
    "-m": 'write --model ID for a model, or localagent run "…" for a message',
    "--session": "--resume ID continues a session",
    "--profile": "settings come from files: localagent docs config",
}
"""For each option of other programs: the sentence that names what does the same here."""


def option_hint(option: str) -> str:
    """Return the sentence about another program's option, or ""."""
    return _OPTIONS.get(option.partition("=")[0], "")


def translate(
    argv: Sequence[str], commands: Sequence[str], options: dict[str, bool], *, terminal: bool
) -> list[str]:
    """Return the command line in localagent's own words.

    `options` are those of a session, each with whether it takes a value. With `terminal`, a bare
    task begins a session; otherwise it is run. Raises UsageError for a command or option that only
    other programs have.
    """
    before, rest, prints = _split(list(argv), options)
    word = rest[0] if rest else ""
    if word == "help":
        return [*rest[1:], "--help"] if rest[1:2] else ["--help"]
    if word == "version" and not rest[1:] and word not in commands:
        return ["--version"]
    if word in commands and word not in _RUN and not prints:
        return _with_directory(before, rest)
    if word in _RUN or prints or _PRINT[0] in rest or _PRINT[1] in rest:
        return ["run", *before, *_run_words(rest[word in _RUN :])]
    if " " in word.strip():
        if not terminal or any(each.partition("=")[0] in _ONLY_RUN for each in rest):
            return ["run", *before, *_run_words(rest)]
        return [*before, "--first", *rest]
    if word:
        _refuse_options(before, options)
        _refuse(word, rest, commands)
    return [*before, *rest]


def _split(words: list[str], options: dict[str, bool]) -> tuple[list[str], list[str], bool]:
    """Split words into the options of a session, the words after them, and whether to print."""
    before: list[str] = []
    prints = False
    while words and words[0].startswith("-") and words[0] not in ("-", "--"):
        word = words[0]
        name, given, value = word.partition("=")
        if name in _PRINT:
            prints = True
            before.append(words.pop(0))
        elif name in _FORMAT:
            before += _format(name, value if given else "".join(words[1:2]))
            del words[: 1 if given else 2]
            prints = True
        elif name in _MESSAGE:
            words[0:1] = [value] if given else []
            prints = True
            break
        elif name in options:
            size = 2 if options[name] and not given and words[1:2] else 1
            if name == "--resume" and not given and words[1:2] and " " not in words[1]:
                size = 1 if words[1].startswith("-") else 2
            before += words[:size]
            del words[:size]
        elif hint := option_hint(name):
            raise UsageError(f"localagent has no option {name}", hint)
        else:
            before.append(word)
            del words[0]
    return before, words, prints


def _run_words(words: Sequence[str]) -> list[str]:
    """Return the arguments of `localagent run`, from those of other programs."""
    result: list[str] = []
    left = list(words)
    while left:
        word = left.pop(0)
        name, given, value = word.partition("=")
        if word == "--":
            return [*result, word, *left]
        if name in _FORMAT:
            result += _format(name, value if given else "".join(left[:1]))
            del left[: 0 if given else 1]
        elif name in _MESSAGE:
            result += [value] if given else []
        else:
            result.append(word)
    return result


def _format(option: str, value: str) -> list[str]:
    """Return the option for an output format: one object of Claude Code, or events of OpenCode."""
    json = "--json-result" if option == "--output-format" else "--json"
    formats = {"text": [], "json": [json], "stream-json": ["--json"]}
    if value not in formats:
        raise UsageError(f"unknown output format {value!r}", "one of: text, json, stream-json")
    return formats[value]


def _with_directory(before: list[str], rest: list[str]) -> list[str]:
    """Move a -C before the command behind the command's words, where the command reads it."""
    for at, word in enumerate(before):
        if word.startswith("-C"):
            size = 2 if word == "-C" else 1
            moved = before[at : at + size]
            others = [*before[:at], *before[at + size :]]
            end = rest.index("--") if "--" in rest else len(rest)
            return [*others, *rest[:end], *moved, *rest[end:]]
    return [*before, *rest]


def _file_hint(word: str) -> str:
    """Return what to type in place of a file or folder, or ""."""
    name = word.removeprefix("@")
    if Path(name).is_dir():
        return f"localagent -C {name} works in this folder"
    return f'name the file in the task: localagent "fix @{name}"' if Path(name).is_file() else ""


def similar_option(option: str, known: Iterable[str]) -> str:
    """Return "did you mean --check?" for a mistyped option, or ""."""
    import difflib

    name = option.partition("=")[0]
    near = difflib.get_close_matches(name, known, 1, 0.75) if name.startswith("--") else []
    return f"did you mean {near[0]}?" if near else ""


def _refuse_options(before: Sequence[str], options: dict[str, bool]) -> None:
    """Raise UsageError for the first unknown option: the next word is probably its value."""
    for word in before:
        name = word.partition("=")[0]
        known = name in (*options, *_ONLY_RUN, *_PRINT) or name.startswith("-C")
        if name.startswith("-") and not known:
            others = (*_ONLY_RUN, *_PRINT, *_FORMAT, *_MESSAGE)
            hint = similar_option(name, (*options, *others)) or "see localagent --help"
            raise UsageError(f"localagent has no option {name}", hint)


def _refuse(word: str, rest: Sequence[str], commands: Sequence[str]) -> None:
    """Raise UsageError for an unknown command that deserves more than a list of commands."""
    import difflib
    import shlex

    near = difflib.get_close_matches(word, commands, 1, 0.75)
    if near:
        raise UsageError(f"localagent has no command {word!r}", f"did you mean {near[0]}?")
    if len([each for each in rest if not each.startswith("-")]) > 2:
        task = shlex.quote(" ".join(rest))
        raise UsageError("a task must be a single argument", f"quote it: localagent {task}")
    hint = _COMMANDS.get(word, "") or _file_hint(word)
    if not hint and (near := difflib.get_close_matches(word, commands, 1, 0.6)):
        hint = f"did you mean {near[0]}?"
    hint = hint or f'localagent run "{word}" carries out a task; commands: localagent --help'
    raise UsageError(f"localagent has no command {word!r}", hint)
