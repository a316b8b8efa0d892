"""Markdown that streams: what is drawn does not depend on the pieces that it comes in."""

from __future__ import annotations

import gc
import random
import tracemalloc

import pytest
from rich.text import Text

from localagent.ui.view.markdown import MarkdownStream

DOCUMENT = """\
# What **add** does

The function `add(a, b)` in [calc.py](calc.py) *returns* the sum of both, and **this bold text is \
so long that it has to be broken into several rows of the terminal** at words. 2 * 3 * 4, __init__ \
and a\\*b stay; [a page](https://example.test/a_long_address) is named with where it leads to.

- first item, which is long enough to be wrapped
  - nested `code`
1. one
- [x] done
> quoted text that is long enough to be wrapped

| name | what it does |
|------|:------------:|
| add | adds **two** numbers |
| sub | a \\| b |

---

```python
def add(a, b):
    return a + b  # sum
```
The end `of it.
"""


def rows(text: str, width: int, sizes: list[int]) -> list[Text]:
    stream = MarkdownStream(width)
    found, at = [], 0
    while at < len(text):
        size = sizes[at % len(sizes)]
        found += [row.text for row in stream.feed(text[at : at + size])]
        at += size
    return found + [row.text for row in stream.close()]


def plain(text: str, width: int = 40) -> list[str]:
    return [row.plain.rstrip() for row in rows(text, width, [len(text)])]


def test_a_document_is_drawn() -> None:
    assert plain(DOCUMENT, 40) == [
        "What add does",
        "",
        "The function add(a, b) in calc.py",
        "returns the sum of both, and this bold",
        "text is so long that it has to be broken",
        "into several rows of the terminal at",
        "words. 2 * 3 * 4, __init__ and a*b stay;",
        "a page",
        "(https://example.test/a_long_address) is",
        "named with where it leads to.",
        "",
        "• first item, which is long enough to be",
        "  wrapped",
        "  • nested code",
        "1. one",
        "• ☑ done",
        "│ quoted text that is long enough to be",
        "│ wrapped",
        "",
        "name  what it does",
        "add   adds two numbers",
        "sub   a | b",
        "",
        "─" * 40,
        "",
        "def add(a, b):",
        "    return a + b  # sum",
        "The end of it.",
    ]


@pytest.mark.parametrize("seed", range(8))
def test_pieces_of_any_size_give_the_same_words_and_styles(seed: int) -> None:
    sizes = [random.Random(seed).randint(1, 9) for _ in range(50)]
    whole = rows(DOCUMENT, 40, [len(DOCUMENT)])
    pieces = rows(DOCUMENT, 40, sizes)
    assert [row.plain.rstrip() for row in pieces] == [row.plain.rstrip() for row in whole]
    bold = "".join(r.plain[s.start : s.end] for r in pieces for s in r.spans if s.style == "strong")
    assert "thisboldtextissolongthat" in bold.replace(" ", "")


def test_a_row_comes_before_its_paragraph_is_over() -> None:
    stream = MarkdownStream(20)
    found = [row.text.plain for row in stream.feed("one two three four five six seven")]
    assert found == ["one two three four"]
    assert stream.partial().plain == "five six seven"


def test_code_is_coloured_across_lines() -> None:
    found = rows('```python\nx = """a\nb\n"""\ny = 1\n```\n', 40, [3])
    styles = [{str(span.style) for span in row.spans} for row in found]
    assert styles[1] == {"code.string"}
    assert "code.number" in styles[3]


def test_a_code_block_that_is_never_closed_is_shown() -> None:
    assert plain("```\na * b\n    c") == ["a * b", "    c"]


def test_a_table_wider_than_the_terminal_becomes_a_list() -> None:
    table = "| a | b |\n|---|---|\n| one | " + "word " * 12 + "|\n"
    shown = plain(table, 30)
    assert shown[0] == "- a: one"
    assert shown[1] == "  b: word word word word word"
    assert max(map(len, shown)) <= 30


def test_wide_signs_fit() -> None:
    stream = MarkdownStream(20)
    shown = [*stream.feed("漢字" * 30), *stream.close()]
    assert len(shown) == 6
    assert max(row.text.cell_len for row in shown) == 20


@pytest.mark.parametrize("text", ["word " * 14_000, "x" * 70_000, "- a `b` **c**\n" * 5_000])
def test_memory_does_not_grow_with_the_text(text: str) -> None:
    def draw() -> MarkdownStream:
        stream = MarkdownStream(80)
        for at in range(0, len(text), 7):
            for _ in stream.feed(text[at : at + 7]):
                pass
        return stream

    draw()  # fills the libraries' caches, which are bounded
    tracemalloc.start()
    stream = draw()
    gc.collect()
    drawing = ("localagent/ui", "rich", "markdown_it", "pygments")  # other threads allocate, too
    own = [tracemalloc.Filter(True, f"*/{package}/*") for package in drawing]
    held = tracemalloc.take_snapshot().filter_traces(own)
    tracemalloc.stop()
    size = sum(trace.size for trace in held.traces)
    assert stream is not None and size < 48 << 10, "it keeps what it has drawn"
