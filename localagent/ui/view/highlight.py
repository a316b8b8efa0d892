"""Highlights the syntax of code, line by line, while the model writes the code."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from rich.text import Text

if TYPE_CHECKING:
    from pygments.lexer import Lexer

# A lexer keeps no state between lines, so for each line it also reads this many earlier lines. They
# cover most multi-line strings and comments, and take about a millisecond.
_LINES_BEFORE = 40
_LONGEST = 500  # characters; a longer line is probably data, and is not colored

_STYLES = (
    ("Comment", "code.comment"),
    ("String", "code.string"),
    ("Number", "code.number"),
    ("Keyword", "code.keyword"),
    ("Operator.Word", "code.keyword"),
    ("Name.Builtin", "code.builtin"),
    ("Name.Function", "code.name"),
    ("Name.Class", "code.name"),
    ("Name.Decorator", "code.builtin"),
    ("Name.Tag", "code.keyword"),
)


class Highlighter:
    """Highlights the lines of one code block; code of an unknown language stays plain."""

    def __init__(self, language: str) -> None:
        self._before: deque[str] = deque(maxlen=_LINES_BEFORE)
        self._lexer = _lexer(language)

    def line(self, line: str) -> Text:
        """Return the next line with styles."""
        if self._lexer is None or len(line) > _LONGEST:
            return Text(line)
        start = sum(len(each) + 1 for each in self._before)
        source = "".join(f"{each}\n" for each in self._before) + line + "\n"
        text = Text(line)
        at = 0
        for kind, value in self._lexer.get_tokens(source):
            begin, at = at, at + len(value)
            if at > start and (style := _style(str(kind))):
                text.stylize(style, max(begin - start, 0), at - start)
        self._before.append(line)
        return text


def _lexer(language: str) -> Lexer | None:
    name = language.strip().split(" ")[0].split("{")[0].lower()
    if not name:
        return None
    from pygments.lexers import get_lexer_by_name
    from pygments.util import ClassNotFound

    try:
        return get_lexer_by_name(name, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return None


def _style(token: str) -> str:
    """Return the theme's style for a kind of token: "Token.Keyword.Constant" is a keyword."""
    return next((style for part, style in _STYLES if part in token), "")
