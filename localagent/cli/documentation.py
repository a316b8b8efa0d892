"""`localagent docs`, `localagent completion`, and the man page."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from localagent import __version__
from localagent.cli.options import add_command
from localagent.cli.output import CliResult, text_result
from localagent.core.errors import UsageError
from localagent.ui.chat.output import Output

if TYPE_CHECKING:
    from localagent.cli.options import Commands

FOLDER = Path(__file__).resolve().parent.parent / "docs"
_SUFFIXES = (".md", ".json", ".yml", ".yaml", ".groovy", ".containerfile")
_SHELLS = ("bash", "zsh", "fish")
_COMPLETION = """\
to use it:
  bash  localagent completion bash > ~/.local/share/bash-completion/completions/localagent
  zsh   localagent completion zsh > DIR/_localagent, where DIR is in your fpath
  fish  localagent completion fish > ~/.config/fish/completions/localagent.fish
"""
_FILES = """\
~/.config/localagent            settings, and your rules, commands, prompts
~/.local/share/localagent       models, sessions, the audit log
/etc/localagent/policy.toml     the administrator's policy
"""


def register(commands: Commands) -> None:
    """Add the commands docs and completion to the parser."""
    parser = add_command(
        *(commands, "docs", "the documentation, offline", docs),
        description="List the pages that come with localagent, or print a page.",
    )
    parser.add_argument("page", metavar="PAGE", nargs="?", help="a page of the list")
    parser = add_command(
        *(commands, "completion", "completion for bash, zsh and fish", completion),
        description="Print a script that completes localagent's commands and options.",
        epilog=_COMPLETION,
    )
    parser.add_argument("shell", metavar="SHELL", choices=_SHELLS, help=", ".join(_SHELLS))


def docs(args: argparse.Namespace) -> CliResult:
    """Print one page or file, or list all: first guides, then decision records and examples."""
    files = sorted(FOLDER.rglob("*.*"), key=lambda path: (len(path.parts), path))
    pages = {
        path.relative_to(FOLDER).as_posix().removesuffix(".md"): path
        for path in files
        if path.suffix in _SUFFIXES
    }
    if args.page is None:
        return CliResult(
            [Output("table", rows=tuple((name, _title(path)) for name, path in pages.items()))]
        )
    name = args.page.removesuffix(".md")
    if name not in pages:
        raise UsageError(f"unknown page {args.page!r}", "localagent docs lists the pages")
    return text_result(pages[name].read_text(encoding="utf-8").rstrip("\n"))


def _title(path: Path) -> str:
    with path.open(encoding="utf-8") as file:
        if path.suffix == ".json":
            return str(json.load(file)["title"])
        return file.readline().lstrip("/# ").strip()


def completion(args: argparse.Namespace) -> CliResult:
    """Print the completion script of a shell. The script, made by shtab, starts no program."""
    import shtab

    for parser in all_parsers(args.parser):
        for action in parser._actions:
            if action.type is Path:
                action.complete = shtab.FILE  # type: ignore[attr-defined]
    return text_result(shtab.complete(args.parser, args.shell))


def all_parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Return a parser and the parsers of its commands, at every depth."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from all_parsers(inner)


def man_page(parser: argparse.ArgumentParser) -> str:
    """Return the manual page as man(7) macros, for `scripts/hatch_build.py`."""
    lines = [
        f'.TH LOCALAGENT 1 "" "localagent {_escaped(__version__)}" "User Commands"',
        ".SH NAME",
        "localagent \\- a local\\-first coding agent for the terminal",
    ]
    for command in all_parsers(parser):
        top = command is parser
        lines.append(".SH SYNOPSIS" if top else f".SS {_escaped(command.prog)}")
        lines += [".nf", *map(_escaped, command.format_help().splitlines()), ".fi"]
        lines += [".SH COMMANDS"] if top else []
    lines += [".SH FILES", ".nf", *map(_escaped, _FILES.splitlines()), ".fi"]
    lines += [".SH SEE ALSO", "The documentation comes with the program:", ".B localagent docs"]
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    """Escape text, so that the formatter of man pages finds no instruction in it."""
    plain = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")
    return f"\\&{plain}" if plain.startswith(".") else plain
