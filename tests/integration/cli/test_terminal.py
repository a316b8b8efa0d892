"""The command line at a real terminal (a pty), and under signals."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("pty")

from terminal import at_terminal

ROOT = Path(__file__).resolve().parents[3]
SOLUTION = "--- reply repeat = true\ndef add(a, b):\n    return a + b\n```\n"
CHECK = "grep -q 'a + b' calc.py"


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    replies = tmp_path / "replies.txt"
    replies.write_text(SOLUTION)
    start = [sys.executable, "-m", "localagent", "run", "fix add in calc.py"]
    return [*start, "--scripted", str(replies)]


def test_yes_to_a_question_lets_it_run(command: list[str], workspace_dir: Path) -> None:
    with at_terminal([*command, "--check", CHECK, "--sandbox", "none"], workspace_dir) as terminal:
        terminal.until("may I run the check")
        terminal.until("y yes, n no, a always")
        terminal.type("y\n")
        code = terminal.rest()
    assert code == 0, terminal.shown
    assert "solved: the check passed" in terminal.shown
    colored = "\x1b[32m+\x1b[0m\x1b[32m    return a \x1b[0m\x1b[7;32m+\x1b[0m\x1b[32m b"
    assert colored in terminal.shown
    plain = re.sub(r"\x1b\[[0-9;]*[mK]", "", terminal.shown)
    assert "return a + b" not in plain.split("candidate 1")[0], "only a passing candidate is drawn"


def test_no_to_a_question_is_refused(command: list[str], workspace_dir: Path) -> None:
    with at_terminal([*command, "--check", CHECK, "--sandbox", "none"], workspace_dir) as terminal:
        terminal.until("a always for")
        terminal.type("n\n")
        code = terminal.rest()
    assert code == 3, terminal.shown
    assert "nothing was changed" in terminal.shown


def test_ctrl_c_at_a_question_ends_the_turn(command: list[str], workspace_dir: Path) -> None:
    with at_terminal([*command, "--check", CHECK, "--sandbox", "none"], workspace_dir) as terminal:
        terminal.until("a always for")
        terminal.process.send_signal(signal.SIGINT)
        code = terminal.rest()
    assert code == 130, terminal.shown
    assert "Traceback" not in terminal.shown


@pytest.mark.parametrize("env", [{"TERM": "dumb"}, {"NO_COLOR": "1"}], ids=["dumb", "no colour"])
def test_terminals_without_colour(
    command: list[str], workspace_dir: Path, env: dict[str, str]
) -> None:
    with at_terminal([*command, "--check", CHECK, "--yes"], workspace_dir, **env) as terminal:
        assert terminal.rest() == 0, terminal.shown
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", terminal.shown)
    if env["TERM" if "TERM" in env else "NO_COLOR"] == "dumb":
        assert "\x1b" not in terminal.shown


def wait_for(process: subprocess.Popen[str], name: str) -> list[dict[str, object]]:
    """Read events up to the first of type `name`."""
    assert process.stdout is not None
    seen: list[dict[str, object]] = []
    for line in process.stdout:
        seen.append(json.loads(line))
        if seen[-1]["type"] == name:
            return seen
    raise AssertionError(f"no {name} in {seen}")


@contextmanager
def hanging(command: list[str], cwd: Path) -> Iterator[subprocess.Popen[str]]:
    """A run whose check never ends by itself."""
    process = subprocess.Popen(
        [*command, "--json", "--yes", "--check", "sleep 1000"],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_for(process, "check_started")
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_ends_the_turn_cleanly(command: list[str], workspace_dir: Path, name: str) -> None:
    with hanging(command, workspace_dir) as process:
        process.send_signal(getattr(signal, name))
        last = wait_for(process, "turn_finished")[-1]
        assert process.stderr is not None
        assert process.stderr.read() == ""
        assert process.wait(timeout=60) == 130
    assert (last["outcome"], last["exit_code"]) == ("interrupted", 130)


def test_the_second_signal_leaves_at_once(command: list[str], workspace_dir: Path) -> None:
    with hanging(command, workspace_dir) as process:
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 130
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()


def test_what_is_ignored_on_purpose_stays_ignored(command: list[str], workspace_dir: Path) -> None:
    """As under nohup: a hang-up does not end the run."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with hanging(command, workspace_dir) as process:
            process.send_signal(signal.SIGHUP)
            process.send_signal(signal.SIGINT)
            last = wait_for(process, "turn_finished")[-1]
            assert process.wait(timeout=60) == 130
    finally:
        signal.signal(signal.SIGHUP, before)
    # Both signals came; had the first counted, the second would have left without this event.
    assert last["outcome"] == "interrupted"


def test_an_unknown_model_is_said_before_the_session_is_drawn(workspace_dir: Path) -> None:
    start = [sys.executable, "-m", "localagent", "--model", "qwen2.5-coder-1.5b-instrukt"]
    with at_terminal(start, workspace_dir) as terminal:
        assert terminal.rest() == 2
    assert "did you mean qwen2.5-coder-1.5b-instruct" in terminal.shown
    assert "Shift-Tab" not in terminal.shown
