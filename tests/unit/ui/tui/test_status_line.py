"""The status line: its parts, their priority, their words."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fake_chat import STATUS

from localagent.config.schema import DEFAULT_STATUS
from localagent.ui.tui.status_line import status_line
from localagent.ui.view.format import ASCII, UNICODE


def test_the_first_parts_have_priority() -> None:
    status = replace(
        STATUS,
        window_used=3,
        tokens_per_second=12.0,
        branch="main",
        sandbox="bwrap",
        confined=True,
    )
    wide = status_line(status, DEFAULT_STATUS, 200, UNICODE).plain
    assert wide.startswith(
        " ask mode · toy (cpu) · 🔒 sandboxed · context 3% · 12 tok/s · main · react · "
    )
    assert status_line(status, DEFAULT_STATUS, 24, UNICODE).plain == " ask mode · toy (cpu)"
    long = replace(status, sandbox="a" * 9, branch="b" * 30)
    line = status_line(long, ("mode", "branch", "model"), 24, UNICODE).plain
    assert line == " ask mode", "a part after one that does not fit is left out, too"
    assert (
        status_line(status, ("sandbox", "mode"), 80, ASCII).plain
        == " [locked] sandboxed - ask mode"
    )
    assert (
        status_line(replace(status, confined=False), ("sandbox",), 80, ASCII).plain == " no sandbox"
    )


@pytest.mark.parametrize(
    ("part", "change", "text"),
    [
        ("mode", {"read_only": True}, "read only"),
        ("window", {"window_used": 0}, ""),
        ("window", {"window_used": 10, "window": 8192}, "context 1%"),
        ("window", {"window_used": 7373, "window": 8192}, "context 90%"),
        ("speed", {"tokens_per_second": 9.55}, "9.6 tok/s"),
        ("speed", {"tokens_per_second": 0.0}, ""),
        ("reused", {"reused": 12_345}, "12.3k reused"),
        ("sandbox", {"confined": True, "ports": (8080,)}, "[locked] sandboxed +8080"),
        ("branch", {"branch": "x" * 40}, "x" * 27 + "..."),
        ("check", {"check": "1 failed"}, "1 failed"),
        ("planner", {}, "react"),
        ("planner", {"planner": "workflow"}, ""),
    ],
)
def test_a_part(part: str, change: dict, text: str) -> None:
    line = status_line(replace(STATUS, **change), (part,), 80, ASCII).plain
    assert line == (f" {text}" if text else "")


def test_an_unknown_part_is_an_error() -> None:
    with pytest.raises(ValueError, match="unknown part of the status line: 'weather'"):
        status_line(STATUS, ("weather",), 80, ASCII)
