"""Rules on commands against shells: what a rule lets pass runs nothing that it does not name."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from shell_fuzz import confining, findings, random_line

from localagent.core.errors import SandboxError
from localagent.sandbox.base import Sandbox

pytestmark = pytest.mark.sandbox

SHELLS = ("dash", "bash", "zsh", "busybox sh")


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    try:
        chosen = confining()
    except SandboxError as error:
        pytest.skip(error.message)
    yield chosen
    chosen.close()


@pytest.mark.parametrize("shell", SHELLS)
def test_random_lines(shell: str, sandbox: Sandbox) -> None:
    program, *words = shell.split()
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"no {program} here")
    source = random.Random(17)
    lines = [random_line(source) for _ in range(1000)]
    assert [*findings(" ".join((found, *words)), lines, sandbox)] == []


def test_a_wrong_decision_is_found(monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox) -> None:
    monkeypatch.setattr("shell_fuzz.command_matches", lambda _rule, _line, every: every)
    lines = ["ls; rm x", "evil"]
    ran = {finding.ran for finding in findings(str(shutil.which("sh")), lines, sandbox)}
    assert ran == {"rm", "evil"}


def test_a_line_reaches_nothing_outside(sandbox: Sandbox, tmp_path: Path) -> None:
    target = tmp_path / "written"
    assert [*findings(str(shutil.which("sh")), [f">{target}", "echo >/written"], sandbox)] == []
    assert not target.exists()
    assert not Path("/written").exists()
