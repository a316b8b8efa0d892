"""Exported documents: whole, readable, and harmless whatever a model wrote."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from localagent.core.errors import UsageError
from localagent.core.events import (
    FileChanged,
    MessageAdded,
    SessionTitled,
    Step,
    ToolCalled,
    ToolReturned,
    TurnFinished,
    TurnStarted,
    Warned,
    from_dict,
)
from localagent.history.sessions.transcript import StoredEvent, Transcript
from localagent.ui.export import FORMATS, export_session
from localagent.ui.export.markdown import harmless

RECORDINGS = sorted((Path(__file__).resolve().parents[3] / "golden" / "recordings").glob("*.jsonl"))
HOSTILE = (
    "<script>alert(1)</script> ![x](http://evil.example/?q=1) <img src=x onerror=alert(1)>\n"
    "```html\n<b>code</b> ![kept](y)\n```\nand `a < b` \x1b[2J\u202e end\n````\nopen ``` fence"
)


def recorded(path: Path) -> Transcript:
    lines = path.read_text(encoding="utf-8").splitlines()
    events = [from_dict(json.loads(line)) for line in lines]
    entries = tuple(StoredEvent(n, "2026-01-01T00:00:00.000Z", e) for n, e in enumerate(events, 1))
    return Transcript("20260101-0000-aaaa", path.parent, "/w", "2026", entries, 0)


def of(*events: object) -> Transcript:
    entries = tuple(StoredEvent(n, "t", e) for n, e in enumerate(events, 1))  # type: ignore[arg-type]
    return Transcript("20260101-0000-aaaa", Path(), "/w <x>", "2026", entries, 0)


@pytest.fixture
def hostile() -> Transcript:
    return of(
        TurnStarted(1, f"do {HOSTILE}"),
        MessageAdded("user", f"do {HOSTILE}"),
        MessageAdded("assistant", HOSTILE),
        ToolCalled(1, "read", {"path": '"><script>', "body": HOSTILE}),
        ToolReturned(1, "read", True, HOSTILE, ""),
        FileChanged("a<b>.py", None, None, "--- a\n+++ b\n@@ -1 +1 @@\n-<script>\n+```\n"),
        TurnFinished(1, "unsolved", 1, "<script>", "", "", [], 1.0, 0, 0, 0),
    )


class Tags(HTMLParser):
    """Every tag and attribute of a page, and whether each opened one is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[tuple[str, str]] = set()
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {(name, value or "") for name, value in attrs}
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_a_page_is_whole_and_loads_nothing(path: Path) -> None:
    page = export_session(recorded(path), "html")
    parser = Tags()
    parser.feed(page)
    assert parser.open == []
    assert not parser.tags & {"script", "img", "link", "iframe", "object", "a", "base", "form"}
    assert {name for name, _ in parser.attributes} <= {
        *("lang", "charset", "http-equiv", "content", "name", "class", "id")
    }
    assert "default-src 'none'" in page


def test_nothing_that_a_model_writes_is_markup_in_a_page(hostile: Transcript) -> None:
    page = export_session(hostile, "html")
    parser = Tags()
    parser.feed(page)
    assert parser.open == []
    assert not parser.tags & {"script", "img", "b"}
    assert "<script>alert(1)</script>" in parser.text
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert '<span class="del">-&lt;script&gt;</span>' in page


def test_markdown_keeps_code_and_defuses_the_rest(hostile: Transcript) -> None:
    text = export_session(hostile, "markdown")
    assert "<b>code</b> ![kept](y)" in text
    assert "and `a < b`" in text
    outside = text.split("```html")[0]
    assert "![" not in outside
    assert "<script" not in outside
    # A fence in an output is inside a longer one, so that it ends nothing.
    assert "\n````diff\n" in text
    assert text.count("<details>") == text.count("</details>") == 3


@pytest.mark.parametrize(
    "text",
    [
        "\\`<img src=x>\\`",
        "`` ` <img src=x> ``",
        "```\ncode\n````\n<img src=x>",
        "```a`b\n<img src=x>",
        "~~~\ncode\n~~~~~\n![x](http://evil.example)",
        "~~~\n```\n~~~\n<img src=x>\n```",
        "``` \n```js`\n```\n<img src=x>",
    ],
)
def test_nothing_is_loaded_by_a_trick_with_code(text: str) -> None:
    """Outside of fences that it made itself, the export has no tag and no image."""
    safe = harmless(text)
    fence = ""
    for line in safe.splitlines():
        if fence:
            fence = "" if line.rstrip() == fence else fence
        elif match := re.match(r"(`{3,})[\w+#.-]*$", line):
            fence = match[1]
        else:
            assert not re.search(r"<[A-Za-z/!?]|(?<!\\)!\[", line), safe
    assert not fence


FENCES = "ok\n```\n![x](http://evil.example/?q=1)\n~~~\n![y](http://evil.example/?q=2)\n```\n"


def tags_in(text: str) -> set[str]:
    """The tags of the page that a viewer makes of Markdown."""
    parser = Tags()
    parser.feed(MarkdownIt("commonmark", {"html": True}).render(text))
    return parser.tags


@pytest.mark.parametrize("fence", ["```", "~~~", "```a"])
def test_a_fence_in_one_line_opens_no_block(fence: str) -> None:
    """A block that stays open would turn the fence of the next output around."""
    session = of(
        SessionTitled(f"{fence} title"),
        TurnStarted(1, f"fix this:\n{fence}\ncode\n{fence[:3]}\nnow"),
        Step("plan", f"{fence} a step"),
        ToolReturned(1, "shell", True, FENCES, ""),
        Warned(f"{fence} a warning"),
        ToolReturned(2, "shell", True, FENCES, ""),
        TurnFinished(1, "unsolved", 1, f"{fence} text", "", "", [], 1.0, 0, 0, 0),
    )
    assert "img" not in tags_in(export_session(session, "markdown"))


def test_a_carriage_return_begins_a_line() -> None:
    reply = "a\r```\nb\n```\n![x](http://evil.example/?q=1)\n```\n"
    session = of(TurnStarted(1, "do it"), MessageAdded("assistant", reply))
    assert "img" not in tags_in(export_session(session, "markdown"))


def test_the_parts_of_a_session_are_in_order() -> None:
    path = next(p for p in RECORDINGS if p.stem == "solved")
    text = export_session(recorded(path), "markdown")
    places = [text.index(part) for part in ("# ", "- session: ", "## 1", "```diff", "**solved")]
    assert places == sorted(places)


def test_json_holds_every_event() -> None:
    for path in RECORDINGS:
        session = recorded(path)
        whole = json.loads(export_session(session, "json"))
        assert [from_dict(record) for record in whole["events"]] == session.events
        lines = [json.loads(line) for line in export_session(session, "jsonl").splitlines()]
        assert lines == whole["events"]


def test_an_unknown_format_is_said(hostile: Transcript) -> None:
    with pytest.raises(UsageError, match="unknown export format 'pdf'") as caught:
        export_session(hostile, "pdf")
    assert all(name in caught.value.hint for name in FORMATS)
