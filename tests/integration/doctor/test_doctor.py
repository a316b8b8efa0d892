"""`localagent doctor`, in a process of its own: what it says, its exit code, what it deletes."""

from __future__ import annotations

import importlib.util
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from localagent.config.settings import Settings
from localagent.core.paths import sessions_dir
from localagent.doctor.examine import disk, folders
from localagent.doctor.models import models
from localagent.history.sessions.transcript import open_session, session_ids

ROOT = Path(__file__).resolve().parents[3]
Run = Callable[..., subprocess.CompletedProcess[str]]
needs_library = pytest.mark.skipif(
    not importlib.util.find_spec("llama_cpp"), reason="needs llama-cpp-python"
)


@pytest.fixture
def run(workspace_dir: Path) -> Run:
    def start(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
        quick = () if "--disk" in args or "--prune" in args else ("--quick",)
        return subprocess.run(
            [sys.executable, "-m", "localagent", "doctor", *quick, *args],
            cwd=workspace_dir,
            env={**os.environ, "PYTHONPATH": str(ROOT), **env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )

    return start


@needs_library
def test_a_machine_where_a_run_would_work(run: Run, toy: Path) -> None:
    done = run()
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    lines = done.stdout.splitlines()
    assert lines[:2] == ["a run would work", "machine"]
    for part in ("settings", "state", "sandbox", "llama.cpp", "model toy"):
        assert part in lines
    assert f"  {toy} (0.0 GB): installed; localagent verifies it before" in done.stdout
    assert "  window: 4,096 tokens instead of 8,192, as the model was made for no more" in lines
    assert "  GPU: none that this llama.cpp can use" in lines
    report = json.loads(run("--json").stdout)
    assert report["works"]
    parts = {part["name"]: part for part in report["parts"]}
    assert parts["model toy"]["plan"]["window"] == 4096
    assert parts["llama.cpp"]["version"].startswith("llama-cpp-python ")
    assert parts["machine"]["cores"] >= 1


def test_a_missing_model_is_a_problem_with_what_to_do(run: Run) -> None:
    done = run()
    assert done.returncode == 1
    assert "  PROBLEM: the model qwen2.5-coder-1.5b-instruct is not on this machine" in done.stdout
    assert "    to do: localagent models fetch qwen2.5-coder-1.5b-instruct" in done.stdout
    assert done.stdout.splitlines()[0].startswith("a run would not work: ")
    report = json.loads(run("--json").stdout)
    assert not report["works"]
    fatal = [p["what"] for part in report["parts"] for p in part["problems"] if p["fatal"]]
    assert any("is not on this machine (1.1 GB)" in what for what in fatal)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: path.write_bytes(b"x"), "the file of toy is not the pinned one"),
        (lambda path: path.unlink(), "the model toy is not on this machine"),
        (
            lambda path: path.write_bytes(bytes(path.stat().st_size)),
            "is not a GGUF file that can be read",
        ),
    ],
)
def test_a_model_that_is_not_what_it_was(
    toy: Path, damage: Callable[[Path], object], said: str
) -> None:
    damage(toy)
    (part,) = [part for part in models(Settings()) if part.name == "model toy"]
    (problem,) = part.problems
    assert said in problem.what
    assert problem.fatal and problem.hint


def test_a_model_of_a_role_is_no_reason_to_fail(toy: Path) -> None:
    settings = Settings(fallback=("qwen2.5-coder-0.5b-instruct",), roles={"small": "nothing"})
    parts = {part.name: part for part in models(settings)}
    (missing,) = parts["model qwen2.5-coder-0.5b-instruct"].problems
    assert not missing.fatal
    (unknown,) = parts["roles"].problems
    assert "no model is called 'nothing'" in unknown.what and unknown.fatal


def test_bad_settings_are_a_problem(run: Run, home: Path, workspace_dir: Path) -> None:
    config = home / ".config/localagent/config.toml"
    config.parent.mkdir(parents=True)
    config.write_text("colour = 3\n")
    done = run()
    assert done.returncode == 1
    assert "PROBLEM: " in done.stdout
    assert "unknown setting 'colour'" in done.stdout
    config.write_text("threads = 1\n")
    assert f"{config}: read" in run(LOCALAGENT_MAX_TOKENS="5").stdout
    assert "from the environment: LOCALAGENT_MAX_TOKENS" in run(LOCALAGENT_MAX_TOKENS="5").stdout
    assert "note: LOCALAGENT_MODLE is ignored" in run(LOCALAGENT_MODLE="x").stdout
    assert run("-C", "nowhere").returncode == 1


def test_no_sandbox_is_said_and_is_no_failure(run: Run, toy: Path) -> None:
    done = run(LOCALAGENT_SANDBOX="none")
    assert "note: commands run without a sandbox: " in done.stdout
    assert "PROBLEM: commands" not in done.stdout


def test_a_place_for_state_that_is_no_folder_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert folders().problems == ()
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    (problem,) = folders().problems
    assert problem.fatal
    assert "cannot write the folder for cache" in problem.what
    assert "XDG_CACHE_HOME" in problem.hint


@pytest.fixture
def three(workspace_dir: Path) -> list[str]:
    """Three sessions, oldest first, of a megabyte each."""
    names = []
    for _ in range(3):
        with open_session(workspace_dir) as session:
            names.append(session.session)
        (sessions_dir() / session.session / "blob").write_bytes(bytes(1 << 20))
    about = [sessions_dir() / name / "session.json" for name in names]
    for number, path in enumerate(about):
        content = json.loads(path.read_text())
        path.write_text(json.dumps({**content, "started": f"2026-01-0{number + 1}T00:00:00.000Z"}))
    return names


def test_the_disk_is_shown(run: Run, three: list[str], home: Path) -> None:
    done = run("--disk")
    assert done.returncode == 0
    rows = {line.split("  ")[0]: line for line in done.stdout.splitlines()}
    assert "3.1 MB" in rows["sessions"]
    assert str(sessions_dir()) in rows["sessions"]
    kept = {item.name: item for item in disk()}
    assert kept["models"].bytes == kept["models"].files == 0
    (sessions_dir() / three[0] / "link").symlink_to(home)
    assert {item.name: item.bytes for item in disk()}["sessions"] < kept["sessions"].bytes + 4096
    as_json = json.loads(run("--disk", "--json").stdout)
    assert [folder["name"] for folder in as_json["folders"]][:3] == [
        "settings",
        "models",
        "sessions",
    ]


def test_what_would_be_deleted_is_listed_and_needs_a_yes(run: Run, three: list[str]) -> None:
    asked = run("--disk", "--prune", "--max-bytes", "0", "--keep", "1")
    assert asked.returncode == 0
    assert "to be deleted: 2 sessions, 2.1 MB" in asked.stdout
    assert "no user can answer here; --yes" in asked.stdout
    assert session_ids() == sorted(three)
    listed = json.loads(run("--prune", "--max-bytes", "0", "--keep", "1", "--json").stdout)
    assert [item["session"] for item in listed["would_delete"]] == three[:2]
    assert listed["deleted"] == []
    done = run("--disk", "--prune", "--max-bytes", "0", "--keep", "1", "--yes")
    assert "deleted 2 sessions: 2.1 MB freed" in done.stdout
    assert session_ids() == three[2:]
    again = run("--disk", "--prune", "--max-bytes", "0", "--keep", "1", "--yes")
    assert "no session to delete" in again.stdout


@pytest.mark.parametrize(("answer", "left"), [("n\n", 3), ("\n", 3), ("y\n", 2)])
def test_on_a_terminal_it_asks(
    three: list[str], workspace_dir: Path, answer: str, left: int
) -> None:
    leader, follower = pty.openpty()
    options = ["--disk", "--prune", "--max-bytes", "0", "--keep", "2"]
    process = subprocess.Popen(
        [sys.executable, "-m", "localagent", "doctor", *options],
        cwd=workspace_dir,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=follower,
        stdout=follower,
        stderr=follower,
    )
    os.close(follower)
    shown = b""
    while b"[y/N]" not in shown:
        shown += os.read(leader, 4096)
    assert three[0].encode() in shown
    os.write(leader, answer.encode())
    try:
        while os.read(leader, 4096):
            pass
    except OSError:  # the other side is closed
        pass
    assert process.wait(60) == 0
    os.close(leader)
    assert len(session_ids()) == left


def test_nonsense_is_refused(run: Run) -> None:
    done = run("--disk", "--prune", "--keep", "-1")
    assert done.returncode == 2
    assert "--keep" in done.stderr
