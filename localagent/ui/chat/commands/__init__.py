"""The commands that can be entered after "/", each a thin call of what the command line uses."""

from __future__ import annotations

from localagent.ui.chat.commands import commit, context, lines, plan, screen, sessions, work
from localagent.ui.chat.commands.base import Command

COMMANDS: tuple[Command, ...] = (
    *(screen.HELP, work.MODEL, lines.MODELS, work.MODE, plan.PLAN),
    *(work.CHECK, work.UNDO, work.REDO, sessions.DIFF, commit.COMMIT, lines.SEARCH, lines.INDEX),
    *(
        context.CONTEXT,
        sessions.COMPACT,
        sessions.CLEAR,
        lines.SESSIONS,
        sessions.RESUME,
        sessions.FORK,
    ),
    *(
        lines.EXPORT,
        lines.PERMISSIONS,
        lines.TRUST,
        work.SANDBOX,
        lines.AUDIT,
        lines.INIT,
        lines.CONFIG,
    ),
    *(screen.THEME, screen.KEYS, screen.QUIT),
)
"""In the order of the help text."""
