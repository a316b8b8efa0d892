"""Exports a session as Markdown, with outputs and diffs folded.

The model's text keeps its Markdown, except for parts that would load something when the page is
viewed: images and HTML become plain text.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

from localagent.ui.export.outline import Outline, TurnItem

# Fenced blocks, closed or not, and code spans; text inside them is never markup.
CODE = re.compile(
    r"^(?P<fence>`{3,}|~{3,})[^\n]*\n.*?(?:^(?P=fence)[ \t]*$|\Z)|(?P<tick>`+)[^`\n]+(?P=tick)",
    re.MULTILINE | re.DOTALL,
)


def markdown(outline: Outline) -> str:
    """Write the whole Markdown document."""
    return "\n".join(_document(outline)) + "\n"


def _document(outline: Outline) -> Iterator[str]:
    yield f"# {_safe(' '.join(outline.title.split()))}"
    yield ""
    for name, value in outline.facts:
        fence = _fence(value) if "`" in value else "`"
        yield f"- {name}: {fence}{' '.join(value.split())}{fence}"
    for turn in outline.turns:
        yield ""
        yield f"## {turn.number}"
        yield ""
        yield from (f"> {_safe(line)}".rstrip() for line in turn.prompt.strip().splitlines())
        for item in turn.items:
            yield ""
            yield from _item(item)
        if turn.end:
            yield ""
            yield f"**{_safe(turn.end)}**"


def _item(item: TurnItem) -> Iterator[str]:
    if item.kind == "reply":
        yield _safe(item.body.strip())
    elif not item.body.strip():
        yield f"- {_safe(' '.join(item.head.split()))}"
    else:
        language = "diff" if item.kind == "diff" else "text"
        fence = _fence(item.body)
        yield f"<details><summary>{html.escape(' '.join(item.head.split()))}</summary>"
        yield ""
        yield f"{fence}{language}"
        yield item.body.strip("\n")
        yield fence
        yield ""
        yield "</details>"


def _fence(text: str) -> str:
    """Return a fence of backticks that does not occur in `text`."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    return "`" * max(3, longest + 1)


def _safe(text: str) -> str:
    """Return Markdown from which a viewer loads and runs nothing; code stays unchanged."""
    parts: list[str] = []
    end = 0
    for code in CODE.finditer(text):
        parts += [_escape(text[end : code.start()]), code[0]]
        end = code.end()
        if code["fence"] and not code[0].rstrip().endswith(code["fence"]):
            parts.append(f"\n{code['fence']}")
    return "".join([*parts, _escape(text[end:])])


def _escape(text: str) -> str:
    return text.replace("<", "&lt;").replace("![", "!\\[")
