"""Which checks may be run without the plug-ins that are installed, in a real sandbox view."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import pytest

from localagent.agent.checks import baseline
from localagent.agent.checks.baseline import may_be_lean
from localagent.agent.checks.runner import CheckResult, run_check
from localagent.agent.limits import SEARCH
from localagent.core.events import CheckStarted, Event
from tests.doubles.plain_turn import turn_in

FAILING = "def test_a():\n    assert 1 == 2\n"
NEEDS = "def test_a(from_the_plugin):\n    assert from_the_plugin == 2\n"
PLUGIN = """\
import time, pytest
time.sleep(2)
@pytest.fixture
def from_the_plugin(): return 1
"""
ENTRY = "[pytest11]\nslow_one = slow_one\n"


def ended(events: Generator[Event, None, object], seen: list[Event]) -> object:
    while True:
        try:
            seen.append(next(events))
        except StopIteration as end:
            return end.value


@pytest.fixture
def installed(workspace_dir: Path) -> None:
    """A plug-in that is found because it is installed, in the folder that the check starts in."""
    (workspace_dir / "slow_one.py").write_text(PLUGIN)
    info = workspace_dir / "slow_one-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: slow-one\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY)


@pytest.mark.parametrize(
    ("tests", "lean"), [(FAILING, True), (NEEDS, False)], ids=["unused", "needed"]
)
def test_only_where_every_test_says_the_same(
    workspace_dir: Path,
    installed: None,
    monkeypatch: pytest.MonkeyPatch,
    tests: str,
    lean: bool,
) -> None:
    # A loaded machine takes more than the usual five seconds.
    monkeypatch.setattr(baseline, "SEARCH", replace(SEARCH, lean_max_seconds=60.0))
    (workspace_dir / "calc_test.py").write_text(tests)
    turn, seen = turn_in(workspace_dir), list[Event]()
    start = ended(run_check(turn, "python -m pytest -q"), seen)
    assert isinstance(start, CheckResult)
    seen.clear()
    assert ended(may_be_lean(turn, start), seen) == lean
    assert [type(event) for event in seen] == [CheckStarted]  # on record, and nothing to look at
