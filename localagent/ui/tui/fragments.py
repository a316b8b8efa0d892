"""rich's texts as prompt_toolkit draws them."""

from __future__ import annotations

from functools import lru_cache

from prompt_toolkit.formatted_text import StyleAndTextTuples
from rich.console import Console
from rich.style import Style
from rich.text import Text

_SIXTEEN = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "gray")


def fragments(text: Text, console: Console) -> StyleAndTextTuples:
    """`text` with the styles of the console's theme."""
    found: StyleAndTextTuples = []
    for segment in text.render(console):
        style = _style(segment.style) if segment.style else ""
        found.append((style, segment.text))
    return found


@lru_cache(maxsize=256)
def _style(style: Style) -> str:
    words = [
        word
        for word, on in (
            ("bold", style.bold),
            ("dim", style.dim),
            ("italic", style.italic),
            ("underline", style.underline),
            ("strike", style.strike),
            ("reverse", style.reverse),
        )
        if on
    ]
    if style.color is not None and not style.color.is_default:
        number = style.color.number
        if number is not None and number < 16:
            name = _SIXTEEN[number % 8]
            bright = "ansiwhite" if name == "gray" else f"ansibright{name}"
            words.append(bright if number > 7 else f"ansi{name}")
        else:
            words.append(style.color.get_truecolor().hex)
    return " ".join(words)
