"""The scenario of `scripts/demo incident`, with a scripted model."""

from __future__ import annotations

import json
from pathlib import Path

from tests.doubles.command_line import run_in
from tests.doubles.log_files import script


def test_the_first_cause_is_found_and_no_quote_is_made_up(tmp_path: Path) -> None:
    replies = tmp_path / "replies.txt"
    with script("incident_logs") as logs:
        truth = logs.write(tmp_path / "logs", 4, "lock", 0.05)
        replies.write_text(
            '--- reply when = "Answer with its letter"\nA\n--- reply\n'
            'The migration began first.\nThe log says "all disks melted".\n'
        )
        words = ("logs", "logs", logs.QUESTION, "--scripted", str(replies), "--json")
        done = run_in(tmp_path, *words, XDG_CACHE_HOME=str(tmp_path / "cache"))
        assert done.returncode == 0, done.stderr
        data = json.loads(done.stdout)
        result = logs.judged(tmp_path, truth, data)
    assert (result["right"], result["quotes"]) == (True, True)
    assert data["answer"] == "The migration began first."
