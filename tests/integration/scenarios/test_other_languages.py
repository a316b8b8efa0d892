"""A failure in another language than Python: its output leads to the file to change."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from localagent.core.events import CandidateRejected, Step, TurnFinished
from localagent.models.base import Profile
from localagent.models.scripted import ScriptedReply

TASK = "A total is wrong. Make the tests pass."
RULES = "exports.total = (price, fee) => {\n  if (fee > 5) throw new Error('odd');\n  return price + fee;\n};\n"  # noqa: E501
BROKEN = RULES.replace(");\n", "));\n", 1)
RIGHT = "exports.total = (price, fee) => price + fee;\n"


@pytest.mark.skipif(shutil.which("node") is None, reason="no node here")
def test_a_trace_leads_to_the_file(start: Callable, tmp_path: Path) -> None:
    root = tmp_path / "project"
    (root / "shop").mkdir(parents=True)
    for n in range(20):
        (root / "shop" / f"total_{n}.js").write_text(f"exports.total_{n} = (a, b) => a + b;\n")
    (root / "shop" / "rules.js").write_text(RULES)
    (root / "shop" / "model.js").write_text(
        "const r = require('./rules');\nexports.sell = (p) => r.total(p, 10);\n"
    )
    (root / "check.test.js").write_text(
        "const m = require('./shop/model');\nif (m.sell(1) !== 11) throw new Error('total');\n"
    )
    replies = [ScriptedReply(BROKEN), ScriptedReply(RIGHT, repeat=True)]
    run = start(root, replies, profile=Profile(fim=False), check="node check.test.js")
    events = run.turn(TASK)
    written = [e.detail for e in events if isinstance(e, Step) and e.name == "propose"]
    assert written[0] == "trying changes of shop/rules.js"
    rejected = [e.reason for e in events if isinstance(e, CandidateRejected)]
    assert rejected[0].startswith("line 2: ")
    assert isinstance(events[-1], TurnFinished) and events[-1].outcome == "solved"
