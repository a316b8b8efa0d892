"""`localagent run`: carry out one task, and return its exit code."""

from __future__ import annotations

import argparse
import json
import os
import select
import shlex
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from localagent.cli.interrupt import Interrupts
from localagent.cli.options import (
    SESSION_SETTINGS,
    add_command,
    add_directory,
    add_json,
    add_plain,
    add_session_options,
    add_setting,
    refuse_home,
)
from localagent.cli.output import CliResult, JsonLines, note
from localagent.cli.trust import ask_consent
from localagent.core.errors import LocalAgentError, UsageError
from localagent.core.paths import sessions_dir

if TYPE_CHECKING:
    from localagent.cli.options import Commands
    from localagent.core.events import Event, Question, TurnFinished
    from localagent.project.project import Project
    from localagent.project.prompt_commands import PromptCommand
    from localagent.session.session import Session
    from localagent.ui.view.line_mode import Asker

_DESCRIPTION = """\
Carry out one task in the workspace: find the code, change it, check the change
and show it. localagent undo takes the change back."""
_EPILOG = """\
examples:
  localagent run "fix the failing test"
  localagent run "implement what INSTRUCTIONS.md asks for" --check "pytest -q"
  localagent run "what does parse() return for an empty line?"
  git diff | localagent run "review this diff"
  localagent run --command review src/app.py
  localagent run --json "fix the failing test" > events.ndjson

Without a terminal localagent cannot ask: it denies what needs permission,
unless --yes is given. Exit codes: see localagent --help.
"""


_PIPE_SECONDS = 3.0
_SETTINGS = (*SESSION_SETTINGS, "max_seconds", "max_tokens")
"""Flags that override the setting of the same name."""


class EventView(Protocol):
    """Something that draws events."""

    def draw(self, event: Event) -> None:
        """Draw one event."""


class ResultOnly:
    """Draws a turn on stderr, and writes only its answer to stdout, as text or as JSON."""

    def __init__(self, progress: EventView, *, as_json: bool) -> None:
        self._progress = progress
        self._as_json = as_json
        self._session = ""
        self._answer = ""

    def draw(self, event: Event) -> None:
        """Draw an event, and write the answer at the end: the last reply, or what was done."""
        from localagent.core.events import MessageAdded, SessionStarted, TurnFinished

        self._progress.draw(event)
        if isinstance(event, SessionStarted):
            self._session = event.session
        elif isinstance(event, MessageAdded) and event.role == "assistant":
            self._answer = event.content
        elif isinstance(event, TurnFinished):
            sys.stdout.write(self._result(event) + "\n")
            sys.stdout.flush()

    def _result(self, end: TurnFinished) -> str:
        from localagent.ui.view.sanitize import clean

        text = self._answer if end.outcome == "answered" else ""
        text = text or end.summary or end.outcome
        if not self._as_json:
            return clean(text)
        known = {"result": text, "is_error": end.exit_code != 0, "session_id": self._session}
        return json.dumps({"type": "result", **known, **asdict(end)})


def register(commands: Commands) -> None:
    """Add the command run to the parser."""
    parser = add_command(
        *(commands, "run", "carry out a task", execute), description=_DESCRIPTION, epilog=_EPILOG
    )
    parser.add_argument(
        "task",
        metavar="TASK",
        nargs="*",
        help='the task, in plain words; "-" reads it from stdin, and text that is piped to '
        "another task is added to it; with --command the arguments of the command",
    )
    parser.add_argument(
        "--command",
        metavar="NAME",
        help="run a command of localagent commands list, with TASK as its arguments",
    )
    parser.add_argument(
        "--resume", metavar="ID", help="continue a session; TASK may then be left out"
    )
    parser.add_argument(
        *("-c", "--continue"),
        dest="latest",
        action="store_true",
        help="continue the last session here",
    )
    parser.add_argument(
        *("-p", "--print"),
        dest="answer_only",
        action="store_true",
        help="into a pipe or file, write only the answer; progress goes to stderr",
    )
    parser.add_argument(
        "--json-result",
        action="store_true",
        help="write one JSON object at the end, with the answer, the outcome and the session; "
        "--output-format json does the same",
    )
    add_run_options(parser)
    add_plain(parser)
    add_json(parser, "write the events to stdout, one JSON object a line")
    add_directory(parser)


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a run of one task: permission, limits, seed and session."""
    parser.add_argument(
        "--yes",
        action="store_true",
        help="answer yes to every question except showing secrets; denied stays denied",
    )
    add_setting(parser, "max_seconds", "N")
    add_setting(parser, "max_tokens", "N")
    parser.add_argument(
        "--seed", metavar="N", type=int, default=0, help="for the model's choices (default: 0)"
    )
    add_session_options(parser)


def execute(args: argparse.Namespace) -> CliResult:
    """Carry out the task, and return the exit code of its turn."""
    from localagent.agent.intent import classify

    elsewhere = args.task or args.command or args.resume or args.latest
    if args.answer_only and not elsewhere and not sys.stdin.isatty():
        args.task = ["-"]  # echo "what does main do?" | localagent -p
    task = "" if args.command else read_task(args)
    piped = args.task == ["-"]
    interactive = args.console.interactive and not (args.json or args.json_result or piped)
    with Interrupts() as interrupts, ExitStack() as stack:
        try:
            project = open_project(args)
            if args.latest:
                args.resume = _latest_session(args, project)
            if interactive:
                ask_consent(
                    args.console, project.consent, project.files.pending, interrupts.read_line
                )
            command = _command(project, args.command) if args.command else None
            if command is not None:
                task = command.task(_stdin() if piped else args.task)
            if classify(task) == "edit":
                project.workspace.ensure_writable()  # before the model is loaded
            view, asker = _front_end(args, interrupts.read_line if interactive else None, stack)
            session = stack.enter_context(open_run(project, args, interactive))
            interrupts.cancel = session.cancel
            args.transcript = sessions_dir() / session.id
            typed = task or _unfinished(session, args.resume)
            prompt = _with_piped_text(session, typed, "" if piped else piped_text())
            if command is not None:
                session.task_files.append((command.path, command.sha256))
            if command is not None and args.mode is None:
                session.services.gate.set_mode(command.mode_from(session.mode))
        except LocalAgentError as error:
            if args.json:
                from localagent.core.events import Failed

                JsonLines(sys.stdout).draw(Failed(type(error).__name__, error.message, error.hint))
            elif args.json_result:
                failed = {"result": error.message, "hint": error.hint, "is_error": True}
                sys.stdout.write(json.dumps({"type": "result", **failed}) + "\n")
            raise
        events = session.run(prompt, typed=typed)
        return CliResult(exit_code=follow(session, events, view, asker, interrupts))


def follow(
    session: Session,
    events: Iterator[Event],
    view: EventView,
    asker: Asker | None,
    interrupts: Interrupts,
) -> int:
    """Draw the events of one turn, answer its questions, and return its exit code."""
    from localagent.core.events import Question, TurnFinished

    code = 0
    for event in events:
        view.draw(event)
        if isinstance(event, Question) and asker is not None:
            _answer(session, event, asker, interrupts)
        elif isinstance(event, TurnFinished):
            code = event.exit_code
    session.write_title()
    return code


def _answer(session: Session, question: Question, asker: Asker, interrupts: Interrupts) -> None:
    interrupts.asking = True
    try:
        answer = asker.ask(question)
        session.answer(question.id, answer.allowed, answer.reason)
    except KeyboardInterrupt:
        session.cancel()
        session.answer(question.id, False, "interrupted")
    finally:
        interrupts.asking = False


def read_task(args: argparse.Namespace) -> str:
    """Return the task; "" means the unfinished task of a resumed session. Raises UsageError."""
    if len(args.task) > 1:
        quoted = shlex.quote(" ".join(args.task))
        raise UsageError("the task must be a single argument", f"quote it: localagent run {quoted}")
    text = _stdin() if args.task == ["-"] else "".join(args.task)
    if not text.strip() and not ((args.resume or args.latest) and not args.task):
        raise UsageError("the task is empty", 'name a task: localagent run "…"')
    return text.strip()


def _stdin() -> str:
    return sys.stdin.buffer.read().decode("utf-8", "replace")


def piped_text(descriptor: int = 0, seconds: float = _PIPE_SECONDS) -> str:
    """Return the text that a pipe on stdin holds, or "".

    A pipe that stays silent for `seconds` is left alone, because a program that starts
    localagent may never close it. A file or a socket is not read: it may belong to a loop around.
    """
    try:
        if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            return ""
        ready, _, _ = select.select([descriptor], [], [], seconds)
    except OSError:  # stdin is closed, or cannot be waited for
        return ""
    if not ready:
        note("stdin is a pipe without text, so it is not read; - as the task waits for it")
        return ""
    with os.fdopen(os.dup(descriptor), "rb") as pipe:
        return pipe.read().decode("utf-8", "replace").strip()


def _with_piped_text(session: Session, typed: str, text: str) -> str:
    """Return the task with the text from stdin below it."""
    if not text:
        return typed
    return session.services.prompts.render("workflow/piped", task=typed, text=text).strip()


def open_project(args: argparse.Namespace, **settings: str) -> Project:
    """Open the project, with flags and `settings` as its settings.

    Raises ConfigError and WorkspaceError.
    """
    from localagent.project.project import Project

    refuse_home(args.directory)
    flags = {key: getattr(args, key) for key in _SETTINGS}
    return Project.open(args.directory, {**flags, **settings})


def _command(project: Project, name: str) -> PromptCommand:
    """Return the user's or project's command called `name`. Raises UsageError."""
    from localagent.project.prompt_commands import prompt_commands

    return prompt_commands(project).get(name)


def _latest_session(args: argparse.Namespace, project: Project) -> str:
    """Return the id of the last session here. Raises UsageError."""
    if args.resume:
        raise UsageError("--continue and --resume cannot be combined", "use only one of them")
    from localagent.cli.chat import latest_session

    return latest_session(project.root)


def _unfinished(session: Session, name: str) -> str:
    if not session.unfinished:
        raise UsageError(
            f"session {name} has no unfinished task",
            "write a new task, for example: 'fix the tests'",
        )
    return session.unfinished


def open_run(project: Project, args: argparse.Namespace, interactive: bool) -> Session:
    """Open the session of a run with the options of the command line."""
    from localagent.session.factory import RunOptions, open_session

    options = RunOptions(args.yes, args.resume, args.seed, interactive, args.scripted)
    return open_session(project, options)


def _front_end(
    args: argparse.Namespace, read_line: Callable[[], str] | None, stack: ExitStack
) -> tuple[EventView, Asker | None]:
    if args.json:
        return JsonLines(sys.stdout), None
    from localagent.ui.view.line_mode import Asker
    from localagent.ui.view.render import Renderer
    from localagent.ui.view.screen import terminal_screen

    quiet = args.json_result or (args.answer_only and not sys.stdout.isatty())
    stream = sys.stderr if quiet else sys.stdout
    screen = stack.enter_context(terminal_screen(stream, plain=bool(args.plain)))
    asker = Asker(screen, read_line) if read_line else None
    renderer = Renderer(screen, _undo_command(args.directory))
    return ResultOnly(renderer, as_json=args.json_result) if quiet else renderer, asker


def _undo_command(directory: Path) -> str:
    """Return the command line that undoes the turn, quoted for a shell."""
    if directory.resolve() == Path.cwd():
        return "localagent undo"
    return f"localagent undo -C {shlex.quote(str(directory))}"
