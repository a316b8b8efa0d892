"""The manual page localagent(1), made from the parser; `scripts/update-docs` writes it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from localagent import __version__


def page(parser: argparse.ArgumentParser) -> str:
    """The page in the language of man(7); the same program gives the same text."""
    return "\n".join(_lines(parser)) + "\n"


def _lines(parser: argparse.ArgumentParser) -> Iterator[str]:
    yield f'.TH LOCALAGENT 1 "" "localagent {_safe(__version__)}" "User Commands"'
    yield ".SH NAME"
    yield "localagent \\- a local\\-first coding agent for the terminal"
    yield ".SH SYNOPSIS"
    yield from _as_it_is(_usage(parser))
    yield ".SH DESCRIPTION"
    yield from _filled(parser.description or "")
    yield ".SH OPTIONS"
    yield from _options(parser)
    yield ".SH COMMANDS"
    for command in _below(parser):
        yield f".SS {_safe(command.prog)}"
        yield from _as_it_is(_usage(command))
        yield ".PP"
        yield from _filled(command.description or "")
        yield from _options(command)
        yield from _as_it_is(command.epilog or "")
    yield ".SH EXAMPLES AND EXIT STATUS"
    yield from _as_it_is(parser.epilog or "")
    yield ".SH FILES"
    yield ".TP\n.I ~/.config/localagent\nsettings, and what you add: rules, commands, prompts"
    yield ".TP\n.I ~/.local/share/localagent\nmodels, sessions, the audit log"
    yield ".TP\n.I /etc/localagent/policy.toml\nthe administrator\\(aqs policy"
    yield ".SH SEE ALSO"
    yield "The documentation comes with the program:\n.B localagent docs"


def _below(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield inner
                yield from _below(inner)


def _usage(parser: argparse.ArgumentParser) -> str:
    return parser.format_usage().removeprefix("usage: ")


def _options(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction) or action.help == argparse.SUPPRESS:
            continue
        names = ", ".join(action.option_strings)
        value = "" if action.nargs == 0 else _value(action)
        yield ".TP"
        yield f".B {_safe(f'{names} {value}'.strip())}"
        yield from _filled((action.help or "").replace("%%", "%"))


def _value(action: argparse.Action) -> str:
    if action.metavar is None and action.choices:
        return "{" + ",".join(map(str, action.choices)) + "}"
    return str(action.metavar or action.dest.upper())


def _filled(text: str) -> Iterator[str]:
    """Text whose lines are broken anew; empty lines part paragraphs."""
    for line in text.strip().splitlines():
        yield _safe(line.strip()) if line.strip() else ".PP"


def _as_it_is(text: str) -> Iterator[str]:
    if text.strip():
        yield from (".PP", ".nf")
        yield from (_safe(line) for line in text.strip("\n").splitlines())
        yield ".fi"


def _safe(text: str) -> str:
    """Text that means nothing to the formatter."""
    plain = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")
    return f"\\&{plain}" if plain.startswith(".") else plain
