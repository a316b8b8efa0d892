"""The project and the options of a session, from one list of keywords."""

from __future__ import annotations

from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

from localagent.cli.main import build_parser
from localagent.cli.session_console import run_in_session
from localagent.project.project import Project
from localagent.session.factory import RunOptions
from localagent.ui.chat.interface import CommandLine

_OPTIONS = {field.name for field in fields(RunOptions)}


def command_line() -> CommandLine:
    """What runs the command line in a chat, as the program has it."""
    return partial(run_in_session, build_parser())


def opening(folder: Path, **given: Any) -> tuple[Project, RunOptions]:
    """What `open_session` takes: options of the run are split from settings."""
    options = {key: value for key, value in given.items() if key in _OPTIONS}
    flags = {key: value for key, value in given.items() if key not in _OPTIONS}
    return Project.open(folder, flags), RunOptions(**options)
