"""Exports a session as Markdown, with outputs and diffs folded.

The model's text keeps its Markdown, except for parts that would load something when the page is
viewed: images and HTML become plain text.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

from localagent.ui.export.outline import Outline, TurnItem

# Fenced blocks, closed or not. A run of the same sign that is as long or longer closes a fence.
_FENCED = re.compile(
    r"^(?P<fence>(?P<sign>`|~)(?P=sign){2,})(?P<info>[^`\n]*)(?:\n|\Z)(?P<body>.*?)"
    r"(?:^(?P=fence)(?P=sign)*[ \t]*$|\Z)",
    re.MULTILINE | re.DOTALL,
)
_SPAN = re.compile(r"(?P<tick>`+)[^`\n]+(?P=tick)")
_NO_BREAK = "\u200b"  # a sign without width, after which "<" begins no tag and "!" no image


def markdown(outline: Outline) -> str:
    """Write the whole Markdown document."""
    return "\n".join(_document(outline)) + "\n"


def _document(outline: Outline) -> Iterator[str]:
    yield f"# {harmless_line(outline.title)}"
    yield ""
    for name, value in outline.facts:
        fence = _fence(value) if "`" in value else "`"
        yield f"- {name}: {fence}{' '.join(value.split())}{fence}"
    for turn in outline.turns:
        yield ""
        yield f"## {turn.number}"
        yield ""
        yield from (f"> {line}".rstrip() for line in harmless(turn.prompt.strip()).splitlines())
        for item in turn.items:
            yield ""
            yield from _item(item)
        if turn.end:
            yield ""
            yield f"**{harmless_line(turn.end)}**"


def _item(item: TurnItem) -> Iterator[str]:
    if item.kind == "reply":
        yield harmless(item.body.strip())
    elif not item.body.strip():
        yield f"- {harmless_line(item.head)}"
    else:
        yield from folded(item.head, item.body, "diff" if item.kind == "diff" else "text")


def folded(head: str, body: str, language: str) -> Iterator[str]:
    """Write a block of text that is folded below one line."""
    fence = _fence(body)
    yield f"<details><summary>{html.escape(' '.join(head.split()))}</summary>"
    yield ""
    yield f"{fence}{language}"
    yield body.strip("\n")
    yield fence
    yield ""
    yield "</details>"


def _fence(text: str) -> str:
    """Return a fence of backticks that does not occur in `text`."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    return "`" * max(3, longest + 1)


def harmless(text: str) -> str:
    """Return Markdown from which a viewer loads and runs nothing; code looks unchanged.

    Blocks get a fence that their content cannot close. A span of code is safe even if a viewer
    takes it for text.
    """
    parts: list[str] = []
    end = 0
    text = text.replace("\r\n", "\n").replace("\r", "\n")  # each is a line end in Markdown
    for block in _FENCED.finditer(text):
        parts.append(_safe_lines(text[end : block.start()]))
        fence = _fence(block["body"])
        language = re.sub(r"[^\w+#.-]", "", block["info"])
        body = block["body"] if block["body"].endswith("\n") else f"{block['body']}\n"
        parts.append(f"{fence}{language}\n{body}{fence}")
        end = block.end()
    return "".join([*parts, _safe_lines(text[end:])])


def harmless_line(text: str) -> str:
    """Return one line of Markdown from which a viewer loads and runs nothing.

    The line opens no block of code, which would turn the fences after it around.
    """
    line = " ".join(text.split())
    return _safe_lines(f"{_NO_BREAK}{line}" if line.startswith(("```", "~~~")) else line)


def _safe_lines(text: str) -> str:
    """Escape running text."""
    parts: list[str] = []
    end = 0
    for span in _SPAN.finditer(text):
        code = re.sub(r"<(?=[A-Za-z/!?])", f"<{_NO_BREAK}", span[0]).replace("![", f"!{_NO_BREAK}[")
        parts += [_escape(text[end : span.start()]), code]
        end = span.end()
    return "".join([*parts, _escape(text[end:])])


def _escape(text: str) -> str:
    return text.replace("<", "&lt;").replace("![", "!\\[")
