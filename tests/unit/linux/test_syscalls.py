"""The kernel's version, as the launcher compares it."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from localagent.linux.syscalls import kernel_is_at_least


@pytest.mark.parametrize(
    ("release", "reached"),
    [
        ("5.5.0", True),
        ("5.10.0-21-amd64", True),
        ("6.1-rc3", True),
        ("5.4.302", False),
        ("4.19.0-27", False),
        ("5.x", False),
    ],
)
def test_versions_are_compared_by_their_numbers(
    release: str, reached: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(release=release))
    assert kernel_is_at_least((5, 5)) is reached
