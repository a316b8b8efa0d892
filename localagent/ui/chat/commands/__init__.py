"""The commands that can be entered after "/", each a thin call of what the command line uses."""

from __future__ import annotations

from localagent.ui.chat.commands import cli_commands, commit, context, display, plan, sessions, work
from localagent.ui.chat.commands.command import Command

COMMANDS: tuple[Command, ...] = (
    *(display.HELP, work.MODEL, cli_commands.MODELS, work.MODE, plan.PLAN),
    *(
        work.CHECK,
        work.UNDO,
        work.REDO,
        sessions.DIFF,
        commit.COMMIT,
        cli_commands.SEARCH,
        cli_commands.INDEX,
    ),
    *(
        context.CONTEXT,
        sessions.COMPACT,
        sessions.CLEAR,
        cli_commands.SESSIONS,
        sessions.RESUME,
        sessions.FORK,
    ),
    *(
        cli_commands.EXPORT,
        cli_commands.PERMISSIONS,
        cli_commands.TRUST,
        work.SANDBOX,
        cli_commands.AUDIT,
        cli_commands.INIT,
        cli_commands.CONFIG,
    ),
    *(display.THEME, display.KEYS, display.QUIT),
)
"""In the order of the help text."""
