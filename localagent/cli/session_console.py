"""Commands of the command line inside an interactive session: same functions, other console."""

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

    `cancelled` is polled while the command makes progress. Raises UsageError for words that the
    parser refuses, and for commands that need a connection.
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
    """Collects outputs; asks nothing, as the session's input line belongs to the chat."""

    def __init__(self, cancelled: Callable[[], bool]) -> None:
        self.interactive = False
        self.outputs: list[Output] = []
        self._cancelled = cancelled

    def show(self, *outputs: Output) -> None:
        """Collect outputs that say something."""
        self.outputs += [output for output in outputs if output.text or output.rows]

    def progress(self) -> ProgressLine:
        """Progress that is not drawn, but stops a cancelled command."""
        return _CancelPoint(self._cancelled)

    def draw(self, events: Iterable[Event], *, live: bool = True) -> None:  # noqa: ARG002
        """Collect the events as text."""
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
    """Raises Interrupted at the next progress after the user cancelled."""

    def __init__(self, cancelled: Callable[[], bool]) -> None:
        self._cancelled = cancelled

    def report(self, _progress: Progress) -> None:
        """Raise Interrupted where the user cancelled."""
        self.files(0, 0)

    def files(self, _done: int, _total: int) -> None:
        """Raise Interrupted where the user cancelled."""
        if self._cancelled():
            raise Interrupted("stopped")

    def clear(self) -> None:
        """Nothing is drawn."""


def _refuse_network(args: argparse.Namespace, words: Sequence[str]) -> None:
    """Raise UsageError for commands that connect: the session's egress lock refuses them."""
    fetches = tuple(words[:2]) == ("models", "fetch") and args.given is None
    if fetches or getattr(args, "ollama", None) is not None:
        raise UsageError(
            "a session opens no new connections",
            f"run in another terminal: localagent {' '.join(words[:2])} …",
        )


def _below(root: Path, value: Any) -> Any:
    """A parsed value; its relative paths are below `root`."""
    if isinstance(value, Path):
        return root / value.expanduser()
    if isinstance(value, list):
        return [_below(root, item) for item in value]
    return value
