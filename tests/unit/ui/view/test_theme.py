"""Themes can be read on the backgrounds that they are for."""

from __future__ import annotations

import pytest
from rich.color import Color
from rich.color_triplet import ColorTriplet
from rich.style import Style
from rich.terminal_theme import TerminalTheme

from localagent.ui.view.theme import NAMES, styles

WHITE, BLACK = ColorTriplet(255, 255, 255), ColorTriplet(0, 0, 0)
LEAST = 4.5
"""WCAG 2.2, success criterion 1.4.3 (AA) for text."""
# The sixteen colours of xterm, with which most terminals begin.
_EIGHT = (0x000000, 0xCD0000, 0x00CD00, 0xCDCD00, 0x0000EE, 0xCD00CD, 0x00CDCD, 0xE5E5E5)
_BRIGHT = (0x7F7F7F, 0xFF0000, 0x00FF00, 0xFFFF00, 0x5C5CFF, 0xFF00FF, 0x00FFFF, 0xFFFFFF)


def channels(colour: int) -> tuple[int, int, int]:
    """Red, green and blue of 0xRRGGBB."""
    return (colour >> 16, colour >> 8 & 0xFF, colour & 0xFF)


XTERM = TerminalTheme(
    channels(0), channels(0xE5E5E5), [*map(channels, _EIGHT)], [*map(channels, _BRIGHT)]
)


def luminance(colour: ColorTriplet) -> float:
    """The relative luminance, from 0 to 1, as WCAG defines it."""
    parts = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (channel / 255 for channel in colour)
    ]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrast(one: ColorTriplet, other: ColorTriplet) -> float:
    """The contrast ratio, from 1 to 21, as WCAG defines it."""
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def coloured(theme: str) -> dict[str, Color]:
    """The styles of a theme that have a colour of their own."""
    parsed = {name: Style.parse(text).color for name, text in styles(theme).items()}
    return {name: colour for name, colour in parsed.items() if colour is not None}


def test_white_on_black_is_the_most() -> None:
    assert contrast(WHITE, BLACK) == pytest.approx(21)


@pytest.mark.parametrize(
    ("theme", "background", "least"),
    [("light", WHITE, LEAST), ("high-contrast", BLACK, LEAST)],
)
def test_each_colour_stands_out(theme: str, background: ColorTriplet, least: float) -> None:
    found = {
        name: round(contrast(colour.get_truecolor(XTERM), background), 1)
        for name, colour in coloured(theme).items()
    }
    assert found
    assert {name: ratio for name, ratio in found.items() if ratio < least} == {}


def test_a_light_theme_takes_none_of_the_terminals_own_colours() -> None:
    """They are made for dark backgrounds in most schemes."""
    assert [n for n, colour in coloured("light").items() if (colour.number or 0) < 16] == []


def test_nothing_is_faint_on_a_light_background() -> None:
    assert [n for n, text in styles("light").items() if "dim" in text.split()] == []


def test_each_theme_has_all_styles() -> None:
    names = [set(styles(name)) for name in NAMES]
    assert all(each == names[0] for each in names)
