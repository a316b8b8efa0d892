"""Numbers, times and signs as a person reads them."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Symbols:
    """The signs that lines begin with."""

    ok: str
    bad: str
    warn: str
    step: str
    tool: str
    lock: str
    dot: str
    frames: str


UNICODE = Symbols("✓", "✗", "!", "•", "→", "🔒", "·", "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")
ASCII = Symbols("+", "x", "!", "*", ">", "[locked]", "-", "|/-\\")


def symbols_for(encoding: str, environ: Mapping[str, str] | None = None) -> Symbols:
    """Unicode signs where the output's encoding and the locale can show them.

    The encoding alone is not enough: Python writes UTF-8 in the "C" locale, too, where the
    terminal may not read it.
    """
    if "utf" not in encoding.lower():
        return ASCII
    if sys.platform == "win32":
        return UNICODE
    env = os.environ if environ is None else environ
    locale = env.get("LC_ALL") or env.get("LC_CTYPE") or env.get("LANG") or "C"
    return UNICODE if "utf" in locale.lower() or sys.platform == "darwin" else ASCII


def duration(seconds: float) -> str:
    """ "0.4 s", "48 s", "2 min 5 s", "1 h 3 min"."""
    if seconds < 9.95:
        return f"{max(seconds, 0):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def remaining(seconds: float) -> str:
    """An estimate: "about 6 s left", "about 2 min left"."""
    if seconds < 1.5:
        return "about 1 s left"
    if seconds < 90:
        return f"about {round(seconds)} s left"
    return f"about {round(seconds / 60)} min left"


def size(count: int) -> str:
    """Bytes: "512 B", "1.1 GB" (powers of 1000, as shops and file managers count)."""
    if count < 1000:
        return f"{count} B"
    value = float(count)
    for unit in ("kB", "MB", "GB", "TB"):
        value /= 1000
        if value < 999.5 or unit == "TB":
            return f"{value:.1f} {unit}" if value < 99.95 else f"{value:.0f} {unit}"
    raise AssertionError("unreachable")


def count(number: int, noun: str) -> str:
    """ "1 file", "3 files", "1,204 tokens"."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def tests(passed: int | None, failed: int | None) -> str:
    """ "11 passed, 1 failed"; "" where there are no counts."""
    if passed is None and failed is None:
        return ""
    if not failed:
        return f"{passed or 0} passed"
    return f"{passed or 0} passed, {failed} failed"
