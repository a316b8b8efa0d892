"""Slash commands of other programs: another name of a command here, or one sentence about it."""

from __future__ import annotations

ALIASES: dict[str, str] = {
    **dict.fromkeys(("exit", "q", "bye", "logout"), "quit"),
    **dict.fromkeys(("new", "reset"), "clear"),
    **dict.fromkeys(("usage", "tokens", "stats"), "cost"),
    **dict.fromkeys(("settings", "config-show"), "config"),
    "test": "check",
    **dict.fromkeys(("themes", "color"), "theme"),
    **dict.fromkeys(("summarize", "compress"), "compact"),
    **dict.fromkeys(("history", "threads"), "sessions"),
    **dict.fromkeys(("allowed-tools", "approvals"), "permissions"),
    **dict.fromkeys(("architect", "todos"), "plan"),
    **dict.fromkeys(("shortcuts", "keybindings", "hotkeys"), "keys"),
    "continue": "resume",
    "commands": "help",
    "repo-map": "map",
}
"""For each name of other programs: the command here that does the same."""

_NAME_FILES = "name files in your message: @src/app.py; the index finds others"
_RULES = "your rules are in AGENTS.md; /init writes one, and # TEXT adds a rule"
_OWN_TOOLS = "localagent has no MCP servers; localagent docs extending shows how to add a tool"

SENTENCES: dict[str, str] = {
    **dict.fromkeys(("add", "drop", "read", "read-only", "mention"), _NAME_FILES),
    "ls": "localagent picks files for each message; /map lists them, @src/app.py names one",
    "load": "localagent runs no file of commands; localagent batch carries out many tasks",
    "save": "every session is stored: /resume continues it, /export FILE writes it",
    "lint": "!COMMAND runs a linter; /check COMMAND makes it the check of this session",
    **dict.fromkeys(("run", "git", "bash", "shell", "terminal"), "!COMMAND runs in the sandbox"),
    **dict.fromkeys(("ask", "code"), "send the question or the task alone; /mode plan only reads"),
    **dict.fromkeys(("memory", "rules", "remember"), _RULES),
    **dict.fromkeys(("mcp", "plugin", "plugins", "tools"), _OWN_TOOLS),
    "skills": "localagent has no skills; localagent docs extending shows how to add commands",
    **dict.fromkeys(("agents", "agent", "bashes", "tasks"), "localagent has no subagents"),
    **dict.fromkeys(("login", "connect"), "localagent needs no account"),
    **dict.fromkeys(
        ("bug", "feedback", "report"), "nothing is sent; /export FILE writes this session"
    ),
    **dict.fromkeys(("share", "unshare"), "nothing leaves this machine; /export FILE writes it"),
    **dict.fromkeys(("rewind", "back", "checkpoint"), "Esc Esc goes back to the last message"),
    **dict.fromkeys(("vim", "vi"), "/config set edit_mode vi; a new session then has vi's keys"),
    **dict.fromkeys(("editor", "edit"), "Ctrl-X Ctrl-E opens your editor"),
    **dict.fromkeys(("paste", "image", "voice"), "localagent reads text only; paste it here"),
    **dict.fromkeys(
        ("web", "browse", "search-web"), "there is no network here; /search finds code"
    ),
    **dict.fromkeys(("upgrade", "update", "release-notes"), "localagent never updates itself"),
    **dict.fromkeys(
        ("privacy-settings", "privacy"), "nothing leaves this machine: localagent doctor --airgap"
    ),
    **dict.fromkeys(("effort", "reasoning"), "/think N lets the model think, at most N tokens"),
    "fast": "/model ID switches to a smaller model",
    **dict.fromkeys(("statusline", "output-style"), "/config set status_line chooses its parts"),
    **dict.fromkeys(("cd", "add-dir"), "a session stays in its folder: localagent -C DIR"),
    **dict.fromkeys(("version", "about"), "localagent --version"),
    **dict.fromkeys(("rename", "title"), "/sessions rename ID TITLE"),
    "hooks": "localagent has no hooks; /check runs the project's check after each change",
    "ide": "localagent works with every editor: it changes files, and you read the diff",
    **dict.fromkeys(("chat-mode", "ok"), "send the task alone; /mode chooses what needs a yes"),
    **dict.fromkeys(("map-refresh", "refresh"), "the index follows your files; /index shows it"),
    **dict.fromkeys(("multiline-mode", "multiline"), "Alt-Enter adds a line"),
    **dict.fromkeys(("think-tokens", "reasoning-effort"), "/think N: at most N tokens"),
    **dict.fromkeys(("weak-model", "editor-model"), "/config set roles.small ID"),
    "copy-context": "/context QUESTION shows the code that the model gets",
    "copy": "select the text in the terminal; /export FILE writes the whole session",
    **dict.fromkeys(("review", "security-review"), "in a shell: localagent review --ask"),
}
"""For each command that only other programs have: the sentence that names what helps here."""

WORDS = {
    **dict.fromkeys(("exit", "quit", ":q", ":q!", ":wq", "bye"), "/quit"),
    "help": "/help",
    "?": "/keys",
}
"""Lines without a slash that are commands nevertheless, because nobody means them as a task."""

QUIT_LINES = frozenset(
    [
        "/quit",
        *(word for word, line in WORDS.items() if line == "/quit"),
        *(f"/{name}" for name, command in ALIASES.items() if command == "quit"),
    ]
)
"""Every line that leaves the session, also while a turn runs."""
