"""The ports that a user allows: from the setting to the lock, the sandbox, the log and the hint."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from localagent.cli import startup
from localagent.config import policy, settings
from localagent.sandbox.base import closed_port_hint

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("sandbox_ports = [5432, 6379, 5432]\n", (5432, 6379)),
        ("sandbox_ports = []\n", ()),
        ("sandbox_ports = [80]\n", ()),
        ("sandbox_ports = 'x'\n", ()),
        ("sandbox_ports = 5432\n", ()),
        ("sandbox_ports = [[5432]]\n", ()),
        ("sandbox_ports = {a = 1}\n", ()),
        ("", ()),
    ],
)
def test_the_lock_leaves_open_what_is_well_formed(text: str, found: tuple[int, ...]) -> None:
    settings.user_file().parent.mkdir(parents=True, exist_ok=True)
    settings.user_file().write_text(text)
    assert startup._ports(policy.Policy()) == found


def test_the_policy_has_the_last_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCALAGENT_SANDBOX_PORTS", "5432")
    assert startup._ports(policy.Policy()) == (5432,)
    file = tmp_path / "p.toml"
    file.write_text("sandbox_ports = []\n")
    assert startup._ports(policy.read([file])) == ()


@pytest.mark.parametrize(
    "line",
    [
        'connection to server at "127.0.0.1", port 5432 failed: Connection refused',
        'connection to server at "localhost" (::1), port 5432 failed: Connection refused',
        "dial tcp 127.0.0.1:5432: connect: connection refused",
        "Error: connect ECONNREFUSED ::1:5432",
        "Error 111 connecting to localhost:5432. Connection refused.",
        "HTTPConnectionPool(host='localhost', port=5432): Max retries … Connection refused",
        "dial tcp 127.0.0.1:5432: connect: permission denied",
    ],
)
def test_a_command_that_misses_a_port_says_what_to_set(line: str) -> None:
    said = closed_port_hint(f"tests begin\n{line}\n1 failed", (6379,))
    assert said.endswith("localagent config set sandbox_ports 6379,5432")
    assert closed_port_hint(line, (5432,)) == ""


@pytest.mark.parametrize(
    "line", ["connected to 127.0.0.1:5432", "refused: see page 127", "permission denied: ./port"]
)
def test_other_failures_say_nothing(line: str) -> None:
    assert closed_port_hint(line, ()) == ""


@pytest.mark.sandbox
@pytest.mark.skipif(sys.platform != "linux", reason="sandboxes are Linux's")
def test_a_session_reaches_the_port_shows_it_and_logs_it(
    workspace_dir: Path, tmp_path: Path, home: Path
) -> None:
    client = "import socket; socket.create_connection(('127.0.0.1', PORT)).close()"
    script = tmp_path / "replies.txt"
    script.write_text("--- reply\n```done\nnothing to do\n```\n")
    settings.user_file().parent.mkdir(parents=True, exist_ok=True)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        settings.user_file().write_text(f"sandbox_ports = [{port}]\n")
        (workspace_dir / "reach.py").write_text(client.replace("PORT", str(port)))
        words = ["run", "look", "--planner", "react", "--scripted", str(script), "--json", "--yes"]
        done = subprocess.run(
            [sys.executable, "-m", "localagent", *words, "--check", "python3 reach.py"],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            cwd=workspace_dir,
            capture_output=True,
            text=True,
            timeout=120,
        )
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events, done.stderr
    assert events[0]["ports"] == ([port] if events[0]["sandbox"] != "none" else [])
    assert f"127.0.0.1:{port} for commands" in events[0]["egress"]
    folder = home / ".local/share/localagent/audit"
    (log,) = (path for path in folder.glob("*.jsonl") if path.name != "head.jsonl")
    first = json.loads(log.read_text().splitlines()[0])
    assert first["ports"] == events[0]["ports"]
