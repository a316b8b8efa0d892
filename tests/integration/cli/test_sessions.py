"""`localagent sessions`, in processes of its own: list, fork, rename, delete, export."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

CHECK = "grep -q 'a + b' calc.py"
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(workspace_dir: Path) -> Run:
    def start(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "localagent", *words]
        return subprocess.run(
            command, cwd=workspace_dir, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )

    return start


@pytest.fixture
def session(run: Run, tmp_path: Path) -> str:
    """A session that has mended calc.py."""
    replies = tmp_path / "replies.txt"
    replies.write_text("--- reply repeat = true\ndef add(a, b):\n    return a + b\n```\n")
    task = ("fix add in calc.py", "--check", CHECK, "--scripted", str(replies), "--yes")
    ended = run("run", *task)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return run("sessions", "list").stdout.split()[0]


def test_a_fork_is_listed_and_resumed(run: Run, session: str, tmp_path: Path) -> None:
    forked = run("sessions", "fork", session[-4:])
    assert forked.returncode == 0, forked.stderr
    name = forked.stdout.strip()
    assert f"--resume {name}" in forked.stderr
    assert f"(fork of {session}, turn 1)" in run("sessions", "list").stdout
    asked = run(
        *("run", "--resume", name, "what does calc.py do?"),
        *("--scripted", str(tmp_path / "replies.txt")),
    )
    assert asked.returncode == 0, asked.stdout + asked.stderr
    listed = [json.loads(line) for line in run("sessions", "list", "--json").stdout.splitlines()]
    assert {one["session"]: one["turns"] for one in listed} == {session: 1, name: 2}


def test_a_list_is_searched_and_filtered(run: Run, session: str) -> None:
    assert run("sessions", "rename", session, "the adder").returncode == 0
    assert run("sessions", "list", "ADDER").stdout.split()[0] == session
    assert run("sessions", "list", "--file", "calc.py", "--outcome", "solved").stdout
    nothing = run("sessions", "list", "adder", "zebra")
    assert (nothing.returncode, nothing.stdout) == (0, "")
    assert "no such session" in nothing.stderr


def test_without_a_terminal_nothing_is_deleted_but_with_yes(run: Run, session: str) -> None:
    refused = run("sessions", "delete", session)
    assert refused.returncode == 3
    assert "no user can answer" in refused.stderr
    assert session in run("sessions", "list").stdout
    assert run("sessions", "delete", session, "--yes").returncode == 0
    assert run("sessions", "list").stdout == ""
    assert run("undo").returncode == 2


@pytest.mark.skipif(sys.platform == "win32", reason="no pty")
@pytest.mark.parametrize(("answer", "left"), [("n\n", True), ("y\n", False)])
def test_at_a_terminal_it_asks(
    run: Run, session: str, workspace_dir: Path, answer: str, left: bool
) -> None:
    from terminal import at_terminal

    command = [sys.executable, "-m", "localagent", "sessions", "delete", session]
    with at_terminal(command, workspace_dir) as terminal:
        terminal.until("fix add in calc.py; changed 1 file")
        terminal.until("delete this session? [y/N]")
        terminal.type(answer)
        assert terminal.rest() == 0
    assert (session in run("sessions", "list").stdout) is left


def test_documents_are_written_and_not_written_over(run: Run, session: str, tmp_path: Path) -> None:
    for name in ("jsonl", "json", "markdown", "html"):
        out = tmp_path / f"s.{name}"
        done = run("sessions", "export", session, "--format", name, "-o", str(out))
        assert done.returncode == 0, done.stderr
        assert "return a + b" in out.read_text()
        printed = run("sessions", "export", session, "--format", name)
        assert printed.stdout == out.read_text()
        again = run("sessions", "export", session, "--format", name, "-o", str(out))
        assert again.returncode == 2
        assert "--force" in again.stderr
    out.write_text("")
    assert run("sessions", "export", session, "-o", str(out), "--force").returncode == 0
    assert out.stat().st_size > 0
    (tmp_path / "link").symlink_to(tmp_path / "target")
    for more in ([], ["--force"]):
        linked = run("sessions", "export", session, "-o", str(tmp_path / "link"), *more)
        assert linked.returncode == 2 and "it is a link" in linked.stderr
    assert not (tmp_path / "target").exists()
    missing = run("sessions", "export", session, "-o", str(tmp_path / "no" / "x"))
    assert missing.returncode == 2
    assert os.linesep not in missing.stderr.strip()
