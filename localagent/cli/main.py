"""The command line: reads the arguments, runs one command, and turns errors into exit codes.

Nothing heavy is imported before a command needs it; the commands are in `localagent.cli`.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from localagent import __version__
from localagent.cli import (
    audit,
    chat,
    commit_message,
    completion,
    config,
    context,
    docs,
    doctor,
    index,
    init,
    models,
    permissions,
    prompt_commands,
    prompts,
    replay,
    run,
    search,
    sessions,
    trust,
    undo,
)
from localagent.cli import map as outline
from localagent.cli.output import fail, keep_printable
from localagent.core.errors import LocalAgentError, UsageError

INTERRUPTED = 130
BROKEN_PIPE = 141  # 128 + SIGPIPE, as a shell reports a program that the signal ended
FAULT = 70  # EX_SOFTWARE of sysexits.h: a mistake in localagent itself

_DESCRIPTION = """\
A coding agent for the terminal that runs a local model, checks its work with
your tests, and lets nothing leave the machine."""
_EPILOG = """\
examples:
  localagent                    an interactive session here
  localagent --continue         go on with the last one
  localagent run "fix the failing test"
  localagent run "add a --verbose flag to main.py" --check "make test"
  localagent undo
  localagent models fetch
  localagent doctor

exit codes:
  0    done and checked, or nothing needed checking
  1    not solved, or changed but not verified
  2    usage or configuration
  3    refused by permission or sandbox
  4    the model or its backend failed
  5    a limit on time or tokens was reached
  70   a fault in localagent itself; a traceback says where
  130  interrupted
  141  the reader of the output is gone
"""


_COMMANDS = (
    *(run, undo, sessions, replay, commit_message),
    *(search, context, outline, index, models, permissions, config, init),
    *(prompt_commands, prompts, trust, doctor, audit, docs, completion),
)


class Parser(argparse.ArgumentParser):
    """A parser whose errors are those of the rest of localagent."""

    def error(self, message: str) -> NoReturn:
        """Raise UsageError."""
        raise UsageError(message, f"see {self.prog} --help")


def build_parser() -> Parser:
    """The parser of all commands; `execute` of the parsed arguments runs one."""
    parser = Parser(
        prog="localagent",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"localagent {__version__}")
    chat.add_options(parser)
    parser.set_defaults(execute=None)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for module in _COMMANDS:
        module.register(commands)
    return parser


def main(argv: Sequence[str], prepare: Callable[[Sequence[str]], None] | None = None) -> int:
    """Run the command line `argv` (without the program's name) and return its exit code.

    `prepare` is called with it before anything else is done; see `start`. It locks the process
    for good, so that a caller who goes on afterwards (a test) leaves it out.
    """
    keep_printable()
    args = argparse.Namespace()
    try:
        if prepare is not None:
            prepare(argv)
        args.parser = build_parser()
        args.parser.parse_args(argv, args)
        if args.execute is None:
            code = chat.execute(args, args.parser.format_help())
        else:
            chat.refuse_options(args)
            code = int(args.execute(args))
        sys.stdout.flush()
    except SystemExit as end:  # argparse, after --help and --version
        code = end.code if isinstance(end.code, int) else 0
    except LocalAgentError as error:
        fail(error)
        code = error.exit_code
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:
        _forget_output()
        code = BROKEN_PIPE
    except Exception:  # noqa: BLE001 - the last resort: say where the fault and the transcript are
        code = _fault(args)
    return code


def _fault(args: argparse.Namespace) -> int:
    import traceback

    traceback.print_exc()
    transcript = getattr(args, "transcript", None)
    where = f"; the session is recorded in {transcript}" if transcript else ""
    sys.stderr.write(f"localagent: this is a fault in localagent itself{where}\n")
    return FAULT


def _forget_output() -> None:
    """Point stdout at nothing, so that Python does not fail again when it flushes at exit."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, sys.stdout.fileno())
    os.close(nothing)
