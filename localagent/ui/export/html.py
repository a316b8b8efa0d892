"""Exports a session as one self-contained HTML file without scripts, fonts, images or links.

All text is escaped, and the page's Content-Security-Policy forbids loading anything. So text from
the model cannot make a browser send a request.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

from localagent.ui.export.outline import Outline, TurnItem
from localagent.ui.view.sanitize import clean

# Fenced blocks, closed or not, and code spans. All text is escaped, whatever it is taken for.
_CODE = re.compile(
    r"^(?P<fence>`{3,}|~{3,})[^\n]*\n.*?(?:^(?P=fence)[ \t]*$|\Z)|(?P<tick>`+)[^`\n]+(?P=tick)",
    re.MULTILINE | re.DOTALL,
)
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


def html_page(outline: Outline) -> str:
    """Write the whole HTML document."""
    return "\n".join(_document(outline)) + "\n"


def _document(outline: Outline) -> Iterator[str]:
    title = _text(" ".join(outline.title.split()))
    yield _HEAD.format(title=title).rstrip()
    yield f"<h1>{title}</h1>"
    yield "<ul>"
    for name, value in outline.facts:
        yield f"<li>{_text(name)}: <code>{_text(value)}</code></li>"
    yield "</ul>"
    for turn in outline.turns:
        yield f'<section id="turn-{turn.number}">'
        yield f"<h2>{turn.number}</h2>"
        yield f'<blockquote class="text">{_text(turn.prompt.strip())}</blockquote>'
        for item in turn.items:
            yield from _item(item)
        if turn.end:
            yield f'<p class="end">{_text(turn.end)}</p>'
        yield "</section>"
    yield "</body>"
    yield "</html>"


def _item(item: TurnItem) -> Iterator[str]:
    if item.kind == "reply":
        yield _said(item.body.strip())
    elif not item.body.strip():
        kind = "note warning" if item.kind == "warning" else "note"
        yield f'<p class="{kind} text">{_text(item.head)}</p>'
    else:
        lines = item.body.strip("\n").split("\n")
        body = "\n".join(map(_diff_line, lines)) if item.kind == "diff" else _text(item.body)
        summary = f"<summary>{_text(' '.join(item.head.split()))}</summary>"
        yield f"<details>{summary}<pre>{body}</pre></details>"


def _said(text: str) -> str:
    """Write text of the model: code in a fixed font, other text as plain text."""
    parts: list[str] = []
    end = 0
    for code in _CODE.finditer(text):
        parts.append(_text(text[end : code.start()]))
        end = code.end()
        if code["fence"]:
            inside = code[0].partition("\n")[2].removesuffix(code["fence"])
            parts.append(f'</div><pre>{_text(inside)}</pre><div class="text">')
        else:
            parts.append(f"<code>{_text(code[0].strip('`'))}</code>")
    return f'<div class="text">{"".join([*parts, _text(text[end:])])}</div>'


def _diff_line(line: str) -> str:
    kind = {"+": "add", "-": "del", "@": "at"}.get(line[:1])
    if kind is None or line.startswith(("+++", "---")):
        return _text(line)
    return f'<span class="{kind}">{_text(line)}</span>'


def _text(text: str) -> str:
    return html.escape(clean(text))
