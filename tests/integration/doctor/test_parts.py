"""The parts of `localagent doctor` beside machine, settings and model, each in a process of its
own: policy, egress lock, sandboxes, audit log, Ollama, terminal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from localagent.models.catalog import lock, manage
from localagent.sandbox.select import CONFINING
from tests.doubles.administrator import under_policy
from tests.doubles.broken_package import broken
from tests.doubles.ollama_server import DIGEST, Ollama, Pulled

ROOT = Path(__file__).resolve().parents[3]
COMMAND = [sys.executable, "-m", "localagent", "doctor", "--quick"]
Parts = Callable[..., dict[str, Any]]


@pytest.fixture
def parts(workspace_dir: Path) -> Parts:
    """The parts by name, as --json has them."""

    def examined(*args: str, **env: str) -> dict[str, Any]:
        done = subprocess.run(
            [*(args or COMMAND), "--json"],
            cwd=workspace_dir,
            env={**os.environ, "PYTHONPATH": str(ROOT), **env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.stdout, done.stderr
        return {part["name"]: part for part in json.loads(done.stdout)["parts"]}

    return examined


@pytest.fixture
def server() -> Iterator[Ollama]:
    with Ollama() as running:
        yield running


def test_every_part_is_there(parts: Parts, toy: Path) -> None:
    found = parts()
    assert list(found) == [
        *(
            "machine",
            "settings",
            "policy",
            "state",
            "hardening",
            "egress lock",
            "sandbox",
            "audit log",
        ),
        *("checks", "index", "llama.cpp", "model toy", "Ollama", "terminal"),
    ]
    pinned = lock.load().entry("toy")
    told = found["model toy"]
    assert (told["sha256"], told["chat_template_sha256"]) == (
        pinned.sha256,
        pinned.chat_template_sha256,
    )
    assert found["policy"]["locked"] == []
    assert found["audit log"]["intact"]
    for part in found.values():
        assert all(problem["hint"] for problem in part["problems"]), part


@pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")
def test_the_watchers_limits(parts: Parts) -> None:
    limits = parts()["index"]["limits"]
    path = Path("/proc/sys/fs/inotify/max_user_watches")
    assert limits["max_user_watches"] == int(path.read_text())


@pytest.mark.sandbox
def test_what_the_policy_locks_and_by_which_file(
    workspace_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workspace_dir)
    policy = 'offline = true\nwindow = 2048\n[[permissions]]\naction = "deny"\nmatch = "x"\n'
    env = {"PYTHONPATH": str(ROOT)}
    done = under_policy(policy, tmp_path / "policy", COMMAND, **env)
    file = "/etc/localagent/policy.toml"
    assert f"  {file}: in force" in done.stdout
    assert "  offline: yes, models fetch is refused" in done.stdout
    assert f"  locked: window = 2048, by {file}" in done.stdout
    assert f"  locked: permissions = 1 rules, by {file}" in done.stdout
    told = under_policy(policy, tmp_path / "again", [*COMMAND, "--json"], **env)
    (part,) = [p for p in json.loads(told.stdout)["parts"] if p["name"] == "policy"]
    assert part["locked"][0] == {"key": "window", "value": 2048, "file": file}
    assert part["offline"]


@pytest.mark.sandbox
@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="sandboxes are Linux's")
def test_what_each_kind_of_sandbox_denies(parts: Parts, tmp_path: Path) -> None:
    command = COMMAND[:-1]  # not --quick
    sandbox = parts(*command)["sandbox"]
    kinds = {kind["name"]: kind for kind in sandbox["kinds"]}
    assert tuple(kinds) == (*CONFINING, "seccomp")
    working = [kind for kind in kinds.values() if kind["works"] and kind["name"] in CONFINING]
    assert working, sandbox
    for kind in working:
        assert len(kind["canaries"]) >= 60
        assert [c["name"] for c in kind["canaries"] if not c["denied"]] == []
    assert all(kind["works"] or kind["reason"] for kind in kinds.values())
    place = broken(
        tmp_path, "sandbox/environment.py", "if name.upper() in _PASSED or", "if True or"
    )
    leaking = parts(*command, PYTHONPATH=str(place))["sandbox"]
    said = [problem["what"] for problem in leaking["problems"]]
    said = [what for what in said if "out of seccomp" not in what]  # it holds the network alone
    assert len(said) == len(working)
    assert all("secrets in the environment (" in what for what in said)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's part of the lock is Linux's")
def test_the_lock(parts: Parts, server: Ollama) -> None:
    env = {"LOCALAGENT_OLLAMA_HOST": server.url}
    locked = parts(**env)["egress lock"]
    assert locked["by_kernel"] and locked["destinations"] == [f"127.0.0.1:{server.port}"]
    main = "import sys; from localagent.cli.main import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", main, *COMMAND[3:]]
    unlocked = parts(*command, **env)["egress lock"]
    assert not unlocked["by_kernel"]
    assert "does not confine" in unlocked["problems"][0]["what"]


@pytest.mark.parametrize("cloud_off", [True, False, None])
def test_ollama_that_answers(parts: Parts, server: Ollama, cloud_off: bool | None) -> None:
    server.cloud_off = cloud_off
    server.models.append(Pulled("big:cloud", digest="e" * 64, remote_host="https://ollama.com"))
    found = parts(LOCALAGENT_OLLAMA_HOST=server.url)["Ollama"]
    assert found["answers"] and found["version"] == server.version
    assert found["digests"]["toy:1b"] == DIGEST
    assert found["cloud_disabled"] is cloud_off
    assert found["remote"] == ["big:cloud"]
    said = [problem["what"] for problem in found["problems"]]
    assert said == (["the server can send prompts to a cloud"] if cloud_off is False else [])


def test_ollama_with_another_model_than_the_pinned_one(parts: Parts, server: Ollama) -> None:
    manage.add_from_ollama("toy:1b", server.url)
    env = {"LOCALAGENT_OLLAMA_HOST": server.url}
    assert parts(**env)["Ollama"]["problems"] == []
    server.models = [Pulled("toy:1b", digest="f" * 64)]
    (problem,) = parts(**env)["Ollama"]["problems"]
    assert "is not what models.lock pins as toy-1b: its digest is ffffffffffff" in problem["what"]
    server.stop()
    (problem,) = parts(**env)["Ollama"]["problems"]
    assert "no Ollama server answers" in problem["what"]
    server.start()


def test_no_ollama_where_none_is_needed(parts: Parts, server: Ollama) -> None:
    server.stop()
    found = parts(LOCALAGENT_OLLAMA_HOST=server.url)["Ollama"]
    server.start()
    assert (found["answers"], found["problems"]) == (False, [])


def test_a_server_elsewhere_is_not_asked(parts: Parts) -> None:
    found = parts(LOCALAGENT_OLLAMA_HOST="http://192.0.2.7:11434")
    assert found["egress lock"]["destinations"] == []
    assert not found["Ollama"]["answers"]


def test_the_audit_log(parts: Parts, home: Path) -> None:
    off = parts(LOCALAGENT_AUDIT="off")["audit log"]
    assert "there is no audit log" in off["problems"][0]["what"]
    folder = home / ".local/share/localagent/audit"
    folder.mkdir(parents=True)
    (folder / "one.jsonl").write_text('{"type": "session"}\n')
    changed = parts()["audit log"]
    assert not changed["intact"] and changed["problems"][0]["hint"] == "localagent audit verify"


@pytest.mark.skipif(sys.platform == "win32", reason="no pty")
def test_the_terminal_in_tmux(workspace_dir: Path) -> None:
    """A real one, of 91 columns and 33 lines, in a server of its own."""
    import shutil

    if shutil.which("tmux") is None:
        pytest.skip("needs tmux")
    tmux = ["tmux", "-L", f"doctor-{uuid.uuid4().hex}", "-f", "/dev/null"]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
    channel = "done"
    shown = " ".join(COMMAND)
    line = f"{shown}; tmux wait-for -S {channel}; exec sleep 600"
    size = ["-x", "91", "-y", "33"]
    start = [*tmux, "new-session", "-d", *size, "-c", str(workspace_dir), line]
    try:
        subprocess.run(start, env=env, check=True, timeout=60)
        subprocess.run([*tmux, "wait-for", channel], env=env, check=True, timeout=300)
        capture = [*tmux, "capture-pane", "-p", "-S", "-200"]
        screen = subprocess.run(capture, env=env, capture_output=True, text=True, timeout=60)
    finally:
        subprocess.run([*tmux, "kill-server"], env=env, timeout=60)
    assert ", in tmux" in screen.stdout
    assert "size: 91 x 33" in screen.stdout
    assert "signs: Unicode" in screen.stdout
    assert "a session here would be drawn inline" in screen.stdout


def test_a_terminal_that_cannot_be_drawn_on(parts: Parts) -> None:
    told = parts(TERM="dumb")["terminal"]
    assert (told["term"], told["inline"], told["columns"]) == ("dumb", False, None)


BY_LANDLOCK = """
import sys
from localagent.egress import kernel_lock
kernel_lock._obstacle = lambda: "as where user namespaces are forbidden"
from localagent.cli import startup as start
from localagent.cli.main import main
start.prepare(sys.argv[1:])
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's part of the lock is Linux's")
def test_what_nobody_tells_of_commands_without_a_sandbox(parts: Parts) -> None:
    by_landlock = [sys.executable, "-c", BY_LANDLOCK, "doctor", "--quick"]
    said = {
        "namespace": "",
        "landlock": "the kernel denies commands the network, but does not count",
        "process": "commands can use the network, and nothing records it",
    }
    for command in (COMMAND, by_landlock):
        found = parts(*command, LOCALAGENT_SANDBOX="none")
        level = found["egress lock"]["level"]
        told = found["sandbox"]["unseen"]
        assert told.startswith(said[level]) and bool(told) == bool(said[level])
    assert level != "namespace"
    assert "unseen" not in parts(*by_landlock, LOCALAGENT_SANDBOX="auto")["sandbox"]
