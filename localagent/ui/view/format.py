"""Formats numbers and times for readers, and chooses the signs of lines."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from localagent.core.events import BestCandidate, CheckFinished


@dataclass(frozen=True, slots=True)
class Symbols:
    """The signs at the beginning of lines, and between parts of a line."""

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
    """Return Unicode signs if the output's encoding and the locale support them, else ASCII.

    The encoding alone is not enough: in the "C" locale, Python writes UTF-8, which the terminal may
    not understand.
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
    """Format an estimate: "about 6 s left", "about 2 min left"."""
    if seconds < 1.5:
        return "about 1 s left"
    if seconds < 90:
        return f"about {round(seconds)} s left"
    return f"about {round(seconds / 60)} min left"


def size(count: int) -> str:
    """Format a number of bytes in powers of 1000: "512 B", "1.1 GB"."""
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


def check_result(event: CheckFinished) -> str:
    """Describe the result of a check: "11 passed, 1 failed", "passed", "failed (exit code 2)"."""
    counts = tests(event.tests_passed, event.tests_failed)
    if not counts:
        return "passed" if event.ok else f"failed (exit code {event.exit_code})"
    if not event.ok and not event.tests_failed:
        return f"{counts}, but exit code {event.exit_code}"
    return counts


def best_words(event: BestCandidate) -> str:
    """Describe the best change of a search: "25 of 26 tests pass, 19 before"."""
    total = event.tests_passed + event.tests_failed
    return f"{event.tests_passed:,} of {total:,} tests pass, {event.passed_before:,} before"


def tests(passed: int | None, failed: int | None) -> str:
    """Format counts of tests: "11 passed, 1 failed"; "" if there are no counts."""
    if passed is None and failed is None:
        return ""
    if not failed:
        return f"{passed or 0} passed"
    return f"{passed or 0} passed, {failed} failed"
