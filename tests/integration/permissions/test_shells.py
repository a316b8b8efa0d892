"""Rules on commands against shells: what a rule lets pass runs nothing that it does not name."""

from __future__ import annotations

import random
import shutil

import pytest
from shell_fuzz import findings, random_line

SHELLS = ("dash", "bash", "zsh", "busybox sh")


@pytest.mark.parametrize("shell", SHELLS)
def test_random_lines(shell: str) -> None:
    program, *words = shell.split()
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"no {program} here")
    source = random.Random(17)
    lines = [random_line(source) for _ in range(1000)]
    assert [*findings(" ".join((found, *words)), lines)] == []


def test_a_wrong_decision_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shell_fuzz.command_matches", lambda _rule, _line, every: every)
    ran = {finding.ran for finding in findings(str(shutil.which("sh")), ["ls; rm x", "evil"])}
    assert ran == {"rm", "evil"}
