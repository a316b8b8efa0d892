"""Themes, which give each named style its color.

Views name styles by meaning ("ok", "faint", "code.keyword"); a theme gives each name its color.
The dark and light themes prefer the terminal's sixteen colors, which follow the user's color
scheme. They use other colors if one of the sixteen is unreadable on a dark or light background.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from rich.theme import Theme

NAMES = ("auto", "dark", "light", "high-contrast", "none")

_DARK: dict[str, str] = {
    "ok": "green",
    "ok.strong": "bold green",
    "bad": "red",
    "bad.strong": "bold red",
    "warn": "yellow",
    "warn.strong": "bold yellow",
    "accent": "cyan",
    "accent.strong": "bold cyan",
    "faint": "dim",
    "strong": "bold",
    "italic": "italic",
    "strike": "strike",
    "heading": "bold underline",
    "code": "cyan",
    "link": "underline",
    "diff.added": "green",
    "diff.removed": "red",
    "diff.added.word": "reverse green",
    "diff.removed.word": "reverse red",
    "code.keyword": "magenta",
    "code.string": "green",
    "code.comment": "dim italic",
    "code.number": "cyan",
    "code.name": "bold",
    "code.builtin": "cyan",
}
# Bright yellow, cyan and green are unreadable on white, and "dim" text fades into white.
_LIGHT: dict[str, str] = {
    **_DARK,
    "ok": "color(28)",
    "ok.strong": "bold color(28)",
    "bad": "color(124)",
    "bad.strong": "bold color(124)",
    "warn": "color(130)",
    "warn.strong": "bold color(130)",
    "accent": "color(24)",
    "accent.strong": "bold color(24)",
    "faint": "color(242)",
    "code": "color(24)",
    "diff.added": "color(28)",
    "diff.removed": "color(124)",
    "diff.added.word": "reverse color(28)",
    "diff.removed.word": "reverse color(124)",
    "code.keyword": "color(90)",
    "code.string": "color(28)",
    "code.comment": "italic color(242)",
    "code.number": "color(24)",
    "code.builtin": "color(24)",
}
# High contrast: no text is faint, and styles never differ by color alone.
_HIGH_CONTRAST: dict[str, str] = {
    **_DARK,
    "ok": "bold bright_green",
    "ok.strong": "bold bright_green",
    "bad": "bold bright_red",
    "bad.strong": "bold bright_red",
    "warn": "bold bright_yellow",
    "warn.strong": "bold bright_yellow",
    "accent": "bold bright_cyan",
    "accent.strong": "bold bright_cyan",
    "faint": "none",
    "code": "bold bright_cyan",
    "diff.added": "bold bright_green",
    "diff.removed": "bold bright_red",
    "diff.added.word": "bold underline bright_green",
    "diff.removed.word": "bold underline bright_red",
    "code.keyword": "bold bright_magenta",
    "code.string": "bright_green",
    "code.comment": "italic",
    "code.number": "bright_cyan",
    "code.builtin": "bright_cyan",
}
# A theme without colors; the NO_COLOR convention permits bold and underlined text.
_NONE: dict[str, str] = {
    **dict.fromkeys(_DARK, "none"),
    **{name: "bold" for name in _DARK if name.endswith(".strong")},
    "strong": "bold",
    "heading": "bold underline",
    "link": "underline",
    "diff.added.word": "underline",
    "diff.removed.word": "underline",
}
_THEMES = {"dark": _DARK, "light": _LIGHT, "high-contrast": _HIGH_CONTRAST, "none": _NONE}


def styles(name: str, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the styles of the theme `name`, each in rich's notation.

    "auto" follows the terminal's background in COLORFGBG ("15;0": the last number is its color).
    """
    if name == "auto":
        env = os.environ if environ is None else environ
        background = env.get("COLORFGBG", "").rpartition(";")[2]
        name = "light" if background in ("7", "15") else "dark"
    return _THEMES[name]


def rich_theme(name: str) -> Theme:
    """Return the theme `name` for a rich console."""
    return Theme(styles(name))
