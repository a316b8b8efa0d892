"""The examples of docs/api.md, run as the page shows them; only the model is scripted."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from localagent.models.router import Router
from localagent.models.scripted import ScriptedModel, ScriptedReply
from localagent.session import factory

PAGE = Path(__file__).resolve().parents[2] / "localagent" / "docs" / "api.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.S)
BROKEN = "def total(items):\n    return 1\n"
GOOD = "def total(items):\n    return sum(items)\n"
ANSWER = ScriptedReply("total() adds the items.", repeat=True)
LONG = ScriptedReply("word " * 2000, repeat=True, pace=0.01)
EXPECTED = [
    ([ANSWER], "answered total\\(\\) adds the items."),
    ([ScriptedReply(GOOD, repeat=True)], "\\+    return sum\\(items\\)\n(.*\n)*solved 0 "),
    ([ScriptedReply(GOOD, repeat=True)], "'solved'.*\n.*'answered'.*\ncart.py is as before"),
    ([LONG], "^interrupted\n$"),
    ([ANSWER], "^$"),
]


def test_every_example_has_a_result() -> None:
    assert len(EXAMPLES) == len(EXPECTED)


@pytest.mark.parametrize("number", range(len(EXPECTED)))
def test_an_example_runs_as_the_page_shows_it(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shop = tmp_path / "shop"
    shop.mkdir()
    (shop / "cart.py").write_text(BROKEN)
    (shop / "test_cart.py").write_text("from cart import total\nassert total([1, 2]) == 3\n")
    replies, expected = EXPECTED[number]
    router = Router.of(ScriptedModel(replies))
    monkeypatch.setattr(factory, "open_router", lambda *_given: router)
    monkeypatch.chdir(tmp_path)
    exec(compile(EXAMPLES[number], f"{PAGE}#{number}", "exec"), {"__name__": "example"})
    printed = capsys.readouterr().out
    assert re.search(expected, printed), printed
    if "events.ndjson" in EXAMPLES[number]:
        lines = (tmp_path / "events.ndjson").read_text().splitlines()
        assert '"turn_finished"' in lines[-1] and len(lines) > 3
