"""A session as Markdown, with outputs and diffs folded away.

What the model wrote keeps its Markdown, but for what would reach out of the page when somebody
looks at it: pictures and HTML are shown as text.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

from localagent.ui.export.outline import Part, Story

# Fenced blocks (open ones too) and code in a line; what is in them is never markup.
CODE = re.compile(
    r"^(?P<fence>`{3,}|~{3,})[^\n]*\n.*?(?:^(?P=fence)[ \t]*$|\Z)|(?P<tick>`+)[^`\n]+(?P=tick)",
    re.MULTILINE | re.DOTALL,
)


def markdown(story: Story) -> str:
    """The document."""
    return "\n".join(_lines(story)) + "\n"


def _lines(story: Story) -> Iterator[str]:
    yield f"# {_safe(' '.join(story.title.split()))}"
    yield ""
    for name, value in story.facts:
        yield f"- {name}: {_inline(value)}"
    for turn in story.turns:
        yield ""
        yield f"## {turn.number}"
        yield ""
        yield from (f"> {_safe(line)}".rstrip() for line in turn.prompt.strip().splitlines())
        for part in turn.parts:
            yield ""
            yield from _part(part)
        if turn.end:
            yield ""
            yield f"**{_safe(turn.end)}**"


def _part(part: Part) -> Iterator[str]:
    if part.kind == "said":
        yield _safe(part.body.strip())
    elif not part.body.strip():
        yield f"- {_safe(' '.join(part.head.split()))}"
    else:
        language = "diff" if part.kind == "diff" else "text"
        fence = _fence(part.body)
        yield f"<details><summary>{html.escape(' '.join(part.head.split()))}</summary>"
        yield ""
        yield f"{fence}{language}"
        yield part.body.strip("\n")
        yield fence
        yield ""
        yield "</details>"


def _fence(text: str) -> str:
    """A fence that does not occur in `text`."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    return "`" * max(3, longest + 1)


def _inline(text: str) -> str:
    """Text as code in a line."""
    fence = _fence(text) if "`" in text else "`"
    return f"{fence}{' '.join(text.split())}{fence}"


def _safe(text: str) -> str:
    """Markdown in which nothing but code is left that a viewer would fetch or run."""
    parts: list[str] = []
    end = 0
    for code in CODE.finditer(text):
        parts += [_defused(text[end : code.start()]), code[0]]
        end = code.end()
        if code["fence"] and not code[0].rstrip().endswith(code["fence"]):
            parts.append(f"\n{code['fence']}")
    return "".join([*parts, _defused(text[end:])])


def _defused(text: str) -> str:
    return text.replace("<", "&lt;").replace("![", "!\\[")
