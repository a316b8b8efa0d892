"""A failure two imports away from its cause, in a project of forty modules."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from shop import KINDS, write_shop

from localagent.core.events import ModelRequested, Step, TurnFinished
from localagent.models.base import Profile
from localagent.models.scripted import ScriptedReply

TASK = "A sale costs the wrong amount. Make the tests pass."


@pytest.mark.parametrize("broken", KINDS)
def test_the_model_is_shown_the_file_at_fault(start: Callable, tmp_path: Path, broken: str) -> None:
    root = tmp_path / "project"
    write_shop(root, broken)
    answer = f"def {broken}_total(price, fee):\n    return price + fee + {broken}_tax(price)\n"
    run = start(root, [ScriptedReply(answer, repeat=True)], profile=Profile(fim=False))
    events = run.turn(TASK)
    written = [e.detail for e in events if isinstance(e, Step) and e.name == "propose"]
    assert written[0] == f"trying changes of shop/{broken}_rules.py"
    asked = next(e.prompt for e in events if isinstance(e, ModelRequested))
    assert f"def {broken}_total(price, fee):" in asked
    assert isinstance(events[-1], TurnFinished) and events[-1].outcome == "solved"


def test_where_the_caller_is_at_fault_it_is_looked_at_soon(start: Callable, tmp_path: Path) -> None:
    root = tmp_path / "project"
    write_shop(root, "")
    service = root / "shop" / "hat_service.py"
    service.write_text(service.read_text().replace("total(fee)", "total(fee + 1)"))
    fill = [
        ScriptedReply("return item.total(fee)", when="def sell_hat"),
        ScriptedReply("return 7", when="", repeat=True),
    ]
    run = start(root, fill, profile=Profile(fim=True))
    events = run.turn(TASK)
    end = events[-1]
    assert isinstance(end, TurnFinished) and end.outcome == "solved"
    assert end.changed == ["shop/hat_service.py"]
    written = [e.detail for e in events if isinstance(e, Step) and e.name == "propose"]
    assert len(written) <= 3  # before any file is written anew
