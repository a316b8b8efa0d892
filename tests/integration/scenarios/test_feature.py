"""The scenario of `scripts/demo feature`, with a scripted model: two files change in one turn."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from localagent.core.events import FileChanged, TurnFinished
from localagent.models.base import Profile
from localagent.models.scripted import ScriptedReply

SAMPLE = Path(__file__).parents[3] / "scripts" / "samples" / "parcels"
TASK = "Add the fee of heavy parcels that the new tests ask for. Do not change the tests."
FEE = "weight: float) -> int:\n    return HEAVY_FEE if weight > HEAVY else 0\n"
PRICE = (
    "def price(parcel: Parcel) -> int:\n    parts = rates.base_price(parcel.zone), "
    "rates.weight_price(parcel.weight, parcel.zone), rates.heavy_fee(parcel.weight)\n"
    "    return sum(parts)\n"
)


def test_a_feature_is_written_in_two_files(start: Callable, tmp_path: Path) -> None:
    folder = tmp_path / "parcels"
    shutil.copytree(SAMPLE, folder)
    replies = [
        ScriptedReply(FEE, when="new function `heavy_fee`", repeat=True),
        ScriptedReply(PRICE, when="corrected `price`", repeat=True),
        ScriptedReply("nothing", repeat=True),
    ]
    run = start(folder, replies, profile=Profile(fim=False))
    events = run.turn(TASK)
    end = events[-1]
    assert isinstance(end, TurnFinished) and end.outcome == "solved"
    changed = {event.path: event.diff for event in events if isinstance(event, FileChanged)}
    assert sorted(changed) == ["parcels/orders.py", "parcels/rates.py"]
    assert "weight >= HEAVY" in changed["parcels/rates.py"], "a small change repairs the reply"
