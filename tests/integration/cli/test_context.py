"""`localagent context`, as a user runs it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from command_line import run_in


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    root.mkdir()
    (root / "money.py").write_text("def round_cents(value):\n    return round(value, 2)\n")
    (root / "long.py").write_text(
        "".join(
            f"def f{n}(x):\n    y = x + {n}\n    z = y * 2\n    return z\n\n\n" for n in range(200)
        )
        + "def count_vouchers(cart):\n    return len(cart.vouchers)\n"
    )
    (tmp_path / "replies.txt").write_text("--- reply\nnothing is asked\n")
    return root


def scripted(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return run_in(project, "context", *words, "--scripted", str(project.parent / "replies.txt"))


def test_what_is_chosen_and_why(project: Path) -> None:
    done = scripted(project, "how are vouchers counted?")
    assert (done.returncode, done.stderr) == (0, "")
    first, *_, last = done.stdout.splitlines()
    assert "long.py  lines 1199-1202" in first and "count_vouchers matches your words" in first
    assert "tokens of" in last


def test_text_json_and_a_budget(project: Path) -> None:
    done = scripted(project, "what does money.py do with cents?", "--text", "--tokens", "100")
    assert done.stdout.startswith("`money.py`:\n```python\ndef round_cents(value):")
    found = json.loads(scripted(project, "vouchers", "--json", "--tokens", "100").stdout)
    assert found["tokens"] <= found["budget"] == 100
    (shown,) = found["shown"]
    assert shown["path"] == "long.py" and "count_vouchers" in shown["text"]


def test_nothing_and_mistakes(project: Path) -> None:
    done = scripted(project, "zebra")
    assert (done.returncode, done.stdout) == (1, "nothing was found\n")
    assert "the question is empty" in scripted(project, " ").stderr
    assert scripted(project, "x", "--tokens", "0").returncode == 2


def test_without_a_model_tokens_are_estimated(project: Path, tmp_path: Path) -> None:
    done = run_in(project, "context", "how are vouchers counted?")
    assert done.returncode == 0
    assert "long.py" in done.stdout
    assert "tokens are estimated" in done.stderr
