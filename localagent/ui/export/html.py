"""A session as one HTML file that needs nothing else: no script, no font, no picture, no link.

All text is escaped, and the page forbids itself to load anything (its Content-Security-Policy), so
that what a model wrote cannot make a browser ask for something.
"""

from __future__ import annotations

import html
from collections.abc import Iterator

from localagent.ui.export.markdown import CODE
from localagent.ui.export.outline import Part, Story
from localagent.ui.view.sanitize import clean

_HEAD = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 1rem/1.5 system-ui, sans-serif; }}
body {{ max-width: 52rem; margin: 2rem auto; padding: 0 1rem; }}
pre, code {{ font: .875rem/1.45 ui-monospace, monospace; }}
pre {{ overflow-x: auto; padding: .6rem .8rem; border: 1px solid #8886; border-radius: .3rem; }}
blockquote {{ margin: 0; padding: .4rem .8rem; border-left: .25rem solid #36c; font-weight: 600; }}
.text {{ white-space: pre-wrap; overflow-wrap: anywhere; }}
.note {{ opacity: .75; margin: .2rem 0; }} .warning {{ color: #b60; }}
.end {{ font-weight: 600; }} summary {{ cursor: pointer; }}
.add {{ color: #173; background: #1a71; }} .del {{ color: #b22; background: #b221; }}
.at {{ color: #36c; }}
@media (prefers-color-scheme: dark) {{ .add {{ color: #7d9; }} .del {{ color: #f99; }} }}
</style>
</head>
<body>
"""


def page(story: Story) -> str:
    """The document."""
    return "\n".join(_lines(story)) + "\n"


def _lines(story: Story) -> Iterator[str]:
    title = _text(" ".join(story.title.split()))
    yield _HEAD.format(title=title).rstrip()
    yield f"<h1>{title}</h1>"
    yield "<ul>"
    for name, value in story.facts:
        yield f"<li>{_text(name)}: <code>{_text(value)}</code></li>"
    yield "</ul>"
    for turn in story.turns:
        yield f'<section id="turn-{turn.number}">'
        yield f"<h2>{turn.number}</h2>"
        yield f'<blockquote class="text">{_text(turn.prompt.strip())}</blockquote>'
        for part in turn.parts:
            yield from _part(part)
        if turn.end:
            yield f'<p class="end">{_text(turn.end)}</p>'
        yield "</section>"
    yield "</body>"
    yield "</html>"


def _part(part: Part) -> Iterator[str]:
    if part.kind == "said":
        yield _said(part.body.strip())
    elif not part.body.strip():
        kind = "note warning" if part.kind == "warning" else "note"
        yield f'<p class="{kind} text">{_text(part.head)}</p>'
    else:
        body = _diff(part.body) if part.kind == "diff" else _text(part.body)
        summary = f"<summary>{_text(' '.join(part.head.split()))}</summary>"
        yield f"<details>{summary}<pre>{body}</pre></details>"


def _said(text: str) -> str:
    """What the model said: code in its own font, all else as it was written."""
    parts: list[str] = []
    end = 0
    for code in CODE.finditer(text):
        parts.append(_text(text[end : code.start()]))
        end = code.end()
        if code["fence"]:
            inside = code[0].partition("\n")[2].removesuffix(code["fence"])
            parts.append(f'</div><pre>{_text(inside)}</pre><div class="text">')
        else:
            parts.append(f"<code>{_text(code[0].strip('`'))}</code>")
    return f'<div class="text">{"".join([*parts, _text(text[end:])])}</div>'


def _diff(text: str) -> str:
    return "\n".join(_diff_line(line) for line in text.strip("\n").split("\n"))


def _diff_line(line: str) -> str:
    kind = {"+": "add", "-": "del", "@": "at"}.get(line[:1])
    if kind is None or line.startswith(("+++", "---")):
        return _text(line)
    return f'<span class="{kind}">{_text(line)}</span>'


def _text(text: str) -> str:
    return html.escape(clean(text))
