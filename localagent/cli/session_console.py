"""Runs commands of the command line inside an interactive session, and collects their output."""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localagent.cli.options import HelpRequest, Parser
from localagent.cli.output import Console, ProgressLine, error_output
from localagent.core.errors import Interrupted, LocalAgentError, UsageError
from localagent.ui.chat.output import Output

if TYPE_CHECKING:
    from localagent.core.events import Event
    from localagent.models.catalog.download import Progress


def run_in_session(
    parser: Parser, words: Sequence[str], root: Path, cancelled: Callable[[], bool]
) -> list[Output]:
    """Run the command line `words` in the workspace at `root`, and return its outputs.

    `cancelled` is polled while the command makes progress. Raises UsageError if the parser rejects
    the words, or if the command needs a new connection.
    """
    console = SessionConsole(cancelled)
    try:
        args = parser.parse_args(words)
    except HelpRequest as request:
        return [Output("text", str(request))]
    _refuse_network(args, words)
    for name, value in vars(args).items():
        setattr(args, name, _below(root, value))
    args.console, args.parser = console, parser
    try:
        console.finish(args.execute(args), as_json=getattr(args, "json", False))
    except Interrupted:
        console.show(Output("note", "stopped"))
    except LocalAgentError as error:
        console.show(error_output(error))
    return console.outputs


class SessionConsole(Console):
    """A console that collects outputs. It asks nothing: the chat owns the session's input line."""

    def __init__(self, cancelled: Callable[[], bool]) -> None:
        self.interactive = False
        self.outputs: list[Output] = []
        self._cancelled = cancelled

    def show(self, *outputs: Output) -> None:
        """Collect the outputs that are not empty."""
        self.outputs += [output for output in outputs if output.text or output.rows]

    def progress(self) -> ProgressLine:
        """Return progress that draws nothing, but stops a cancelled command."""
        return _CancelPoint(self._cancelled)

    def draw(self, events: Iterable[Event], *, live: bool = True) -> None:  # noqa: ARG002
        """Draw the events as text, and collect the text."""
        from localagent.ui.view.render import Renderer
        from localagent.ui.view.screen import terminal_screen

        stream = io.StringIO()
        with terminal_screen(stream) as screen:
            renderer = Renderer(screen)
            for event in events:
                renderer.draw(event)
        self.show(Output("text", stream.getvalue().rstrip("\n")))

    def export(self, data: bytes) -> None:
        """Collect a document as text."""
        self.show(Output("text", data.decode("utf-8", "replace").rstrip("\n")))


class _CancelPoint(ProgressLine):
    """Raises Interrupted at the first progress report after the user cancels."""

    def __init__(self, cancelled: Callable[[], bool]) -> None:
        self._cancelled = cancelled

    def report(self, _progress: Progress) -> None:
        """Raise Interrupted if the user has cancelled."""
        self.files(0, 0)

    def files(self, _done: int, _total: int) -> None:
        """Raise Interrupted if the user has cancelled."""
        if self._cancelled():
            raise Interrupted("stopped")

    def clear(self) -> None:
        """Do nothing, as no line was drawn."""


def _refuse_network(args: argparse.Namespace, words: Sequence[str]) -> None:
    """Raise UsageError for commands that need a connection: the egress lock refuses it."""
    fetches = tuple(words[:2]) == ("models", "fetch") and args.given is None
    served = (getattr(args, "ollama", None), getattr(args, "server", None))
    if fetches or served != (None, None):
        raise UsageError(
            "a session opens no new connections",
            f"run in another terminal: localagent {' '.join(words[:2])} …",
        )


def _below(root: Path, value: Any) -> Any:
    """Return a parsed value, with relative paths resolved below `root`."""
    if isinstance(value, Path):
        return root / value.expanduser()
    if isinstance(value, list):
        return [_below(root, item) for item in value]
    return value
