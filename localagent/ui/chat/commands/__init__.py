"""The slash commands of an interactive session.

To add a slash command, touch two files:

1. Write a generator `run(chat, text)` in a module of this folder. `text` is the input after the
   name. Yield `Output` values for the user, events of `chat.session`, or `chat.request(…)` for
   an action of the front end. Raise `UsageError` for wrong input.
2. Below it, declare `NAME = SlashCommand(name, arguments, help, run, complete)`. `help` is its
   line in `/help`; `complete` offers completions, for example `from_words("fix")`.
3. Add it to `COMMANDS` below, where `/help` should list it.

A slash command that is also a command of the command line is one line in `cli_commands`.
"""

from __future__ import annotations

from localagent.ui.chat.commands import cli_commands, commit, display, plan, sessions, work
from localagent.ui.chat.commands.command import SlashCommand

COMMANDS: tuple[SlashCommand, ...] = (
    *(display.HELP, work.STATUS, work.MODEL, cli_commands.MODELS, work.MODE, work.THINK),
    *(work.PLANNER, plan.PLAN),
    *(work.CHECK, work.BEST, work.UNDO, work.REDO, sessions.DIFF, commit.COMMIT),
    *(cli_commands.SEARCH, cli_commands.MAP, cli_commands.INDEX, display.CONTEXT),
    *(
        display.COST,
        sessions.COMPACT,
        sessions.CLEAR,
        cli_commands.SESSIONS,
        sessions.RESUME,
        sessions.FORK,
    ),
    *(cli_commands.EXPORT, cli_commands.PERMISSIONS, cli_commands.TRUST, work.SANDBOX),
    *(cli_commands.AUDIT, cli_commands.INIT, cli_commands.CONFIG, cli_commands.DOCTOR),
    *(display.THEME, display.KEYS, display.QUIT),
)
"""All slash commands, in the order of the help text."""
