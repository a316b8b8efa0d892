"""The program's surface stays: commands, flags, settings, events, exit codes, slash commands.

`surface.json` holds what version 0.1.0 (6ac4d4b) offered. Names may be added; none may go, since
scripts and settings files of users rely on them.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from localagent.cli.main import build_parser
from localagent.config.schema import SETTINGS
from localagent.core import errors
from localagent.core.events import TYPES
from localagent.ui.chat.commands import COMMANDS

RECORDED = json.loads(Path(__file__).with_name("surface.json").read_text(encoding="utf-8"))


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """A parser and the parsers of its subcommands, at every depth."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from parsers(inner)


def arguments(parser: argparse.ArgumentParser) -> dict[str, set[str]]:
    """Each option or positional of a parser with its number of values and its choices."""
    known: dict[str, set[str]] = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            continue
        metavar = action.metavar if isinstance(action.metavar, str) else action.dest
        for name in action.option_strings or [metavar]:
            known[name] = {f"nargs={action.nargs}", *map(str, action.choices or [])}
    return known


COMMAND_LINE = {parser.prog: arguments(parser) for parser in parsers(build_parser())}


@pytest.mark.parametrize("command", RECORDED["commands"])
def test_every_command_and_flag_is_there(command: str) -> None:
    for line in RECORDED["commands"][command]:
        *names, choices = line.split() if "|" in line else [*line.split(), ""]
        names, nargs = names[:-1], names[-1]
        for name in names:
            assert {nargs, *filter(None, choices.split("|"))} <= COMMAND_LINE[command][name]


def test_every_setting_has_its_default() -> None:
    defaults = {name: repr(key.default) for name, key in SETTINGS.items()}
    assert RECORDED["settings"].items() <= defaults.items()


@pytest.mark.parametrize("event", RECORDED["events"])
def test_every_event_has_its_fields(event: str) -> None:
    fields = {field.name: str(field.type) for field in dataclasses.fields(TYPES[event])}
    assert RECORDED["events"][event].items() <= fields.items()


def test_every_error_has_its_exit_code() -> None:
    codes = {name: getattr(errors, name).exit_code for name in RECORDED["errors"]}
    assert codes == RECORDED["errors"]


def test_every_slash_command_is_there() -> None:
    assert set(RECORDED["slash"]) <= {command.name for command in COMMANDS}
