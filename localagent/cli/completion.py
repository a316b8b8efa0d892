"""`localagent completion`: what a shell needs to complete localagent's commands and options.

The scripts are made from the parser, so they know what this version knows. They start nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from localagent import __version__
from localagent.cli.options import add_command
from localagent.cli.output import say

if TYPE_CHECKING:
    from localagent.cli.options import Commands


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


_DESCRIPTION = "Print a script that completes localagent's commands and options."
_EPILOG = """\
to use it:
  bash  localagent completion bash > ~/.local/share/bash-completion/completions/localagent
  zsh   localagent completion zsh > DIR/_localagent, where DIR is in your fpath
  fish  localagent completion fish > ~/.config/fish/completions/localagent.fish
"""


@dataclass(frozen=True, slots=True)
class Flag:
    """An option: how it is written, what it does, whether a value follows, and which ones."""

    names: tuple[str, ...]
    help: str
    takes: bool
    choices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Level:
    """A command as it is typed ("localagent config set"), and what may follow."""

    path: str
    commands: dict[str, str]
    flags: tuple[Flag, ...]
    words: tuple[str, ...]


def register(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        *(commands, "completion", "completion for bash, zsh and fish"),
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument("shell", metavar="SHELL", choices=tuple(_SHELLS), help=", ".join(_SHELLS))
    parser.set_defaults(execute=execute)


def execute(args: argparse.Namespace) -> int:
    """Print the script."""
    say(_SHELLS[args.shell](list(levels(args.parser))))
    return 0


def levels(parser: argparse.ArgumentParser) -> Iterator[Level]:
    """The parser's level and those of all its commands."""
    inner = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    commands = {c.dest: _plain(c.help) for a in inner for c in a._choices_actions}
    flags = [
        Flag(tuple(a.option_strings), _plain(a.help), a.nargs != 0, _words(a))
        for a in parser._actions
        if a.option_strings and a.help != argparse.SUPPRESS
    ]
    words = [
        w for a in parser._actions if not a.option_strings and a not in inner for w in _words(a)
    ]
    yield Level(parser.prog, commands, tuple(flags), tuple(words))
    for action in inner:
        for one in action.choices.values():
            yield from levels(one)


def _words(action: argparse.Action) -> tuple[str, ...]:
    return tuple(str(choice) for choice in action.choices or ())


def _plain(text: str | None) -> str:
    """A help text without what the shells give a meaning to."""
    return " ".join((text or "").replace("%%", "%").replace("'", "’").split())


def _bash(found: list[Level]) -> str:
    values, level = [], []
    for one in found:
        names = [name for flag in one.flags for name in flag.names]
        level.append(
            f"    '{one.path}') words='{' '.join([*one.commands, *one.words, *names])}' ;;"
        )
        values += [f"    {p}) words='{w}' ;;" for p, w in _values(one)]
    return _BASH.format(paths=_paths(found), levels="\n".join(level), values="\n".join(values))


def _zsh(found: list[Level]) -> str:
    values, level = [], []
    for one in found:
        named = {**one.commands, **dict.fromkeys(one.words, "")}
        named |= {name: flag.help for flag in one.flags for name in flag.names}
        items = " ".join(f"'{name}:{text.replace(':', ' ')}'" for name, text in named.items())
        level.append(f"    '{one.path}') found=({items}) ;;")
        values += [f"    {p}) compadd -- {w}; return ;;" for p, w in _values(one)]
    return _ZSH.format(paths=_paths(found), levels="\n".join(level), values="\n".join(values))


def _fish(found: list[Level]) -> str:
    lines = [_FISH.format(paths=_paths(found).replace("|", " "))]
    for one in found:
        start = f"complete -c localagent -n '__localagent_at {one.path}'"
        for name, text in [*one.commands.items(), *((word, "") for word in one.words)]:
            lines.append(f"{start} -f -a '{name}' -d '{text}'")
        for flag in one.flags:
            names = " ".join(_fish_name(name) for name in flag.names)
            value = f" -x -a '{' '.join(flag.choices)}'" if flag.choices else " -r" * flag.takes
            lines.append(f"{start} {names}{value} -d '{flag.help}'")
    return "\n".join(lines)


def _fish_name(name: str) -> str:
    return f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}"


def _paths(found: list[Level]) -> str:
    return "|".join(f"'{one.path}'" for one in found if " " in one.path)


def _values(level: Level) -> Iterator[tuple[str, str]]:
    for flag in level.flags:
        if flag.choices:
            where = "|".join(f"'{level.path} {name}'" for name in flag.names)
            yield where, " ".join(flag.choices)


_BASH = """\
# bash completion for localagent, made by `localagent completion bash`
_localagent() {{
  local cur=${{COMP_WORDS[COMP_CWORD]}} at=localagent words='' i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$at ${{COMP_WORDS[i]}}" in
    {paths}) at="$at ${{COMP_WORDS[i]}}" ;;
    esac
  done
  case "$at" in
{levels}
  esac
  case "$at ${{COMP_WORDS[COMP_CWORD-1]}}" in
{values}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}}
complete -o default -o bashdefault -F _localagent localagent"""

_ZSH = """\
#compdef localagent
# zsh completion for localagent, made by `localagent completion zsh`
_localagent() {{
  local at=localagent i
  local -a found
  for ((i = 2; i < CURRENT; i++)); do
    case "$at ${{words[i]}}" in
    {paths}) at="$at ${{words[i]}}" ;;
    esac
  done
  case "$at ${{words[CURRENT-1]}}" in
{values}
  esac
  case "$at" in
{levels}
  esac
  _describe localagent found
  _files
}}
if [[ $funcstack[1] = _localagent ]]; then
  _localagent "$@"
else
  compdef _localagent localagent
fi"""

_FISH = """\
# fish completion for localagent, made by `localagent completion fish`
function __localagent_at
    set -l at localagent
    for word in (commandline -opc)[2..-1]
        switch "$at $word"
            case {paths}
                set at "$at $word"
        end
    end
    test "$at" = "$argv"
end"""

_SHELLS: dict[str, Callable[[list[Level]], str]] = {"bash": _bash, "zsh": _zsh, "fish": _fish}
