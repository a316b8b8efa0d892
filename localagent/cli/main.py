"""The command line: parses the arguments, runs one command, and maps errors to exit codes.

A command imports heavy modules inside its functions, so that other commands start fast.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from localagent import __version__
from localagent.cli import (
    audit,
    batch,
    chat,
    ci,
    commit_message,
    config,
    context,
    doctor,
    documentation,
    index,
    init,
    logs,
    models,
    permissions,
    prompts,
    review,
    run,
    search,
    selftest,
    sessions,
    trust,
)
from localagent.cli.aliases import translate
from localagent.cli.options import HelpRequest, Parser
from localagent.cli.output import Console, fail, make_printable
from localagent.core.errors import LocalAgentError

INTERRUPTED = 130
BROKEN_PIPE = 141
"""Exit code if the program that reads stdout has ended: 128 + SIGPIPE."""
FAULT = 70
"""Exit code for a bug in localagent itself: EX_SOFTWARE of sysexits.h."""

_DESCRIPTION = """\
A coding agent for the terminal that runs a local model, checks its work with
your tests, and lets nothing leave the machine."""
_EPILOG = """\
examples:
  localagent                    an interactive session here
  localagent "fix the test"     the same, and begin with this task
  localagent --continue         continue the last session here
  localagent -p "what is tested?" > answer.txt
  localagent run "fix the failing test"
  git diff | localagent run "review this diff"
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
  141  the reader of the output has ended
"""


_COMMANDS = (
    *(run, ci, batch, review, sessions, commit_message, search, context, index, logs, models),
    *(permissions, config, init, prompts, trust, doctor, selftest, audit, documentation),
)
"""The modules that register commands, in the order of the help text."""


def build_parser() -> Parser:
    """Build the parser of all commands. In the parsed arguments, `execute` is the command."""
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

    `prepare(argv)` is called first. The program passes `startup.prepare`, which locks the process
    for good; tests pass nothing.
    """
    make_printable()
    args = argparse.Namespace(console=Console())
    try:
        args.parser = build_parser()
        argv = _translate(argv, args.parser, terminal=args.console.interactive)
        if prepare is not None:
            prepare(argv)
        args.parser.parse_args(argv, args)
        if args.execute is None:
            code = chat.execute(args)
        else:
            chat.refuse_options(args)
            result = args.execute(args)
            code = args.console.finish(result, as_json=getattr(args, "json", False))
        sys.stdout.flush()
    except HelpRequest as request:
        sys.stdout.write(str(request))
        code = 0
    except SystemExit as end:  # argparse exits after --version
        code = end.code if isinstance(end.code, int) else 0
    except LocalAgentError as error:
        fail(error)
        code = error.exit_code
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:
        _discard_output()
        code = BROKEN_PIPE
    except Exception:  # noqa: BLE001 - the last resort: report the bug and the transcript
        code = _report_bug(args)
    return code


def _translate(argv: Sequence[str], parser: Parser, *, terminal: bool) -> list[str]:
    """Return the command line with the words of other programs translated."""
    commands: dict[str, Parser] = {}
    options: dict[str, bool] = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            commands |= action.choices
        else:
            options |= dict.fromkeys(action.option_strings, action.nargs is None)
    words = translate(argv, list(commands), options, terminal=terminal)
    following = words[1] if words[1:] else "-"
    if words and following.startswith("-") and following not in ("-h", "--help"):
        actions = _actions(commands[words[0]]) if words[0] in commands else []
        words[1:1] = [name for name in ("list", "show") if name in actions][:1]
    return words


def _actions(command: Parser) -> list[str]:
    """The names of a command's actions, as `models` has `list`."""
    return [
        name
        for action in command._actions
        if isinstance(action, argparse._SubParsersAction)
        for name in action.choices
    ]


def _report_bug(args: argparse.Namespace) -> int:
    import traceback

    traceback.print_exc()
    transcript = getattr(args, "transcript", None)
    where = f"; the session is recorded in {transcript}" if transcript else ""
    sys.stderr.write(f"localagent: this is a fault in localagent itself{where}\n")
    return FAULT


def _discard_output() -> None:
    """Point stdout at /dev/null, because Python's flush at exit would fail again."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, sys.stdout.fileno())
    os.close(nothing)
