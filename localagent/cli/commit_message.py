"""`localagent commit-message`: a message for what is staged, also as a git hook."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

from localagent.cli.commit_hook import install, may_write, put
from localagent.cli.options import add_command, add_directory, add_scripted
from localagent.cli.output import note, say
from localagent.core.errors import LocalAgentError, UsageError
from localagent.core.events import Event, ModelSwitched

if TYPE_CHECKING:
    from localagent.agent.tasks.commit_message import Written
    from localagent.cli.options import Commands
    from localagent.models.router import Router
    from localagent.session.session import Recorder

_SECONDS = 120.0
_NAMED = 5
_DESCRIPTION = """\
Write a commit message for what is staged, with the model of the role "small"
(the main one where that is not set), and print it."""
_EPILOG = """\
examples:
  localagent commit-message
  git commit -e -m "$(localagent commit-message)"
  localagent commit-message --install

The hook fills in the message that git commit opens in the editor. It leaves
merges, amends and messages given with -m or -F alone, and never stops a
commit. git commit --no-verify does not skip it; remove the hook's file to be
rid of it.

Of a long diff the model sees a part of each file. Files that look like they
hold secrets are not shown to it.
"""


def register(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "commit-message",
        "write a message for what is staged",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.set_defaults(execute=execute)
    way = parser.add_mutually_exclusive_group()
    way.add_argument(
        "--hook",
        nargs="+",
        metavar=("FILE", "SOURCE"),
        help="as git calls prepare-commit-msg: write the message into FILE",
    )
    way.add_argument("--install", action="store_true", help="set up the hook in this repository")
    parser.add_argument("--model", metavar="ID", help="a model of localagent models list")
    parser.add_argument(
        "--max-seconds",
        metavar="N",
        type=float,
        default=_SECONDS,
        help=f"stop the model after N seconds (default: {_SECONDS:g})",
    )
    add_directory(parser)
    add_scripted(parser)


def execute(args: argparse.Namespace) -> int:
    """Print the message; with `--hook` write it into the file, with `--install` set that up."""
    if args.install:
        say(f"installed {install(args.directory)}")
        return 0
    if args.hook:
        _hook(args)
        return 0
    if not args.max_seconds > 0:
        raise UsageError("--max-seconds must be more than 0")
    written = _written(args)
    _tell(written)
    say(written.text)
    return 0


def _hook(args: argparse.Namespace) -> None:
    """Write the message where git will look for it. Whatever goes wrong, the commit goes on."""
    try:
        file, source = Path(args.hook[0]), args.hook[1] if len(args.hook) > 1 else ""
        if may_write(file, source):
            note("writing the commit message …")
            written = _written(args)
            _tell(written)
            put(file, written.text)
    except LocalAgentError as error:
        note(f"no commit message: {error.message}")
    except KeyboardInterrupt:
        note("no commit message: interrupted")
    except Exception as error:  # noqa: BLE001 - a fault of ours must not stop a commit
        note(f"no commit message: a fault in localagent itself ({error!r})")


def _written(args: argparse.Namespace) -> Written:
    """The message for what is staged. What cannot be read is found before a model is loaded."""
    from localagent.workspace.git import staged

    files = staged.staged(args.directory)
    from localagent.agent.tasks.commit_message import Changes, write_message
    from localagent.session.models import open_models
    from localagent.session.project import open_prompts

    root = args.directory
    models = open_models(root, args.model, args.scripted)
    changes = Changes(files, partial(staged.diff_of, root), partial(staged.versions_of, root))
    try:
        with _Audit(root, models) as audit:
            model = models.role("small")
            return write_message(model, open_prompts(), changes, args.max_seconds, audit.tell)
    finally:
        for text in models.notices():
            note(text)
        models.close()


class _Audit:
    """What the model is shown goes into an audit log of its own, as there is no session. It is
    begun with the first of it."""

    def __init__(self, root: Path, models: Router) -> None:
        self._root = root
        self._models = models
        self._log: Recorder | None = None

    def tell(self, event: Event) -> None:
        """Keep an event, and before it which models took over. Raises WorkspaceError."""
        from localagent.config.settings import load
        from localagent.session.recorders import open_audit

        switches = self._models.switches()
        if self._log is None:  # it begins with the name of the model that it came to
            self._log = open_audit(self._root, load(self._root), self._models, "small")
            switches = []
        for switch in switches:
            info = switch.info
            self._log.aside(ModelSwitched(switch.role, info.id, info.sha256, "", switch.why))
        self._log.aside(event)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._log is not None:
            self._log.close()


def _tell(written: Written) -> None:
    if not written.by_model:
        note("the model gave no usable message; this one only names the files")
    if written.clipped:
        note(f"the model saw only a part of {_names(written.clipped)}")
    if written.secret:
        note(f"not shown to the model, as they may hold secrets: {_names(written.secret)}")


def _names(paths: tuple[str, ...]) -> str:
    more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
    return ", ".join(paths[:_NAMED]) + more
