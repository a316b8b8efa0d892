"""The commands that can be entered after "/", each a thin call of what the command line uses."""

from __future__ import annotations

from localagent.ui.chat.commands.base import Command
from localagent.ui.chat.commands.screen import HELP, KEYS, QUIT, THEME
from localagent.ui.chat.commands.work import MODEL, REDO, UNDO

COMMANDS: tuple[Command, ...] = (HELP, UNDO, REDO, MODEL, THEME, KEYS, QUIT)
"""In the order of the help text."""
