"""Replies while the model writes them: which text is drawn, and when."""

from __future__ import annotations

import io

from rich.console import Console

from localagent.tools.registry import standard_tools
from localagent.ui.view.reply_stream import ActStream, call_start
from localagent.ui.view.screen import Screen


def test_every_tool_opens_a_call() -> None:
    assert all(call_start().match(f"```{name} path=a") for name in (*standard_tools(), "done"))
    assert not call_start().match("```python")


def drawn(kind: type[ActStream], *pieces: str) -> tuple[str, object]:
    out = io.StringIO()
    screen = Screen(Console(file=out, width=60), live=False)
    stream = kind(screen)
    for piece in pieces:
        stream.feed(piece)
    stream.end()
    return out.getvalue(), stream


def test_a_call_is_not_drawn_and_the_text_before_it_is() -> None:
    text, stream = drawn(ActStream, "I rea", "d it.\n``", "`read path=a.py\n", "```\n")
    assert text == "\nI read it.\n"
    assert not stream.concluded  # type: ignore[attr-defined]


def test_the_text_of_done_is_drawn_without_its_fence() -> None:
    text, stream = drawn(ActStream, "```done\nIt wor", "ks.\n```\n")
    assert text == "\nIt works.\n"
    assert stream.concluded  # type: ignore[attr-defined]
