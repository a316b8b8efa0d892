"""The command line in a process of its own: outputs, exit codes, errors. Replies are scripted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from localagent.core.events import from_dict

ROOT = Path(__file__).resolve().parents[3]
SOLUTION = "--- reply repeat = true\ndef add(a, b):\n    return a + b\n```\n"
CHECK = "grep -q 'a + b' calc.py"
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(workspace_dir: Path) -> Run:
    """Run localagent in the workspace, without a terminal."""

    def start(*args: str, stdin: str = "", **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "localagent", *args],
            cwd=workspace_dir,
            env={**os.environ, "PYTHONPATH": str(ROOT), **env},
            input=stdin,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=120,
        )

    return start


@pytest.fixture
def replies(tmp_path: Path) -> str:
    path = tmp_path / "replies.txt"
    path.write_text(SOLUTION)
    return str(path)


def test_version_and_help(run: Run) -> None:
    version = run("--version")
    assert (version.returncode, version.stderr) == (0, "")
    assert version.stdout.startswith("localagent 0.")
    for args in (["--help"], ["run", "--help"], ["models", "fetch", "--help"]):
        shown = run(*args)
        assert (shown.returncode, shown.stderr) == (0, "")
        assert shown.stdout.startswith("usage: localagent")


def test_without_arguments_it_says_how_to_begin(run: Run) -> None:
    shown = run()
    assert shown.returncode == 0
    assert 'To begin: localagent run "' in shown.stdout


@pytest.mark.parametrize("group", ["sessions", "models", "permissions", "commands", "prompts"])
def test_a_command_with_a_list_shows_it_without_an_action(run: Run, group: str) -> None:
    alone, listed = run(group), run(group, "list")
    assert (alone.returncode, alone.stdout) == (0, listed.stdout)
    assert "show" in run(group, "--help").stdout or "revoke" in run(group, "--help").stdout


@pytest.mark.parametrize(
    ("args", "message", "hint"),
    [
        (["frobnicate"], "has no command 'frobnicate'", "localagent --help"),
        (["run", "x", "--frob"], "unrecognized arguments: --frob", "localagent"),
        (["run"], "the task is empty", "localagent run"),
        (["run", "  "], "the task is empty", "localagent run"),
        (["run", "-"], "the task is empty", "localagent run"),
        (["run", "x", "--max-seconds", "soon"], "--max-seconds", "localagent run --help"),
        (["run", "x", "--max-seconds", "-1"], "--max-seconds: max_seconds is -1", "more than 0"),
        (["run", "x", "--sandbox", "docker"], "sandbox is 'docker'", "unshare"),
        (["run", "x", "--model", "gpt-9"], "no model is called 'gpt-9'", "qwen2.5-coder"),
        (["run", "x"], "is not on this machine", "models fetch"),
        (["run", "x", "-C", "nowhere"], "nowhere", ""),
        (["run", "x", "--resume", "20200101-0000-aaaa"], "20200101-0000-aaaa", ""),
        (["undo"], "undo", ""),
        (["sessions", "show", "zzzz"], "zzzz", ""),
        (["docs", "nothing"], "unknown page 'nothing'", "lists the pages"),
        (["models", "use", "x"], "no model is called 'x'", "known are"),
        (["models", "add", "no.gguf"], "there is no file", "GGUF"),
    ],
)
def test_the_users_mistakes_are_one_line_and_a_hint(
    run: Run, replies: str, args: list[str], message: str, hint: str
) -> None:
    scripted = [*args, "--scripted", replies] if "--resume" in args or "-C" in args else args
    ended = run(*scripted)
    assert ended.returncode == 2, ended.stderr
    assert ended.stdout == ""
    first, *rest = ended.stderr.strip().split("\n")
    assert first.startswith("localagent: error: ")
    assert message in first
    assert len(rest) <= 1
    assert hint in "".join(rest)


def test_a_task_is_solved_drawn_recorded_and_undone(
    run: Run, replies: str, workspace_dir: Path
) -> None:
    before = (workspace_dir / "calc.py").read_bytes()
    ended = run("run", "fix add in calc.py", "--check", CHECK, "--scripted", replies, "--yes")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "solved: the check passed" in ended.stdout
    assert "+    return a + b" in ended.stdout
    assert "\x1b" not in ended.stdout
    assert (workspace_dir / "calc.py").read_text() == "def add(a, b):\n    return a + b\n"

    listed = run("sessions", "list").stdout
    assert "solved" in listed
    assert "fix add in calc.py" in listed
    session = listed.split()[0]
    assert f"session   {session}" in ended.stdout
    assert "solved: the check passed" in run("sessions", "show", session[-4:]).stdout
    exported = [json.loads(line) for line in run("sessions", "export", session).stdout.splitlines()]
    assert [record["seq"] for record in exported] == list(range(1, len(exported) + 1))
    assert from_dict(exported[-1]).exit_code == 0  # type: ignore[union-attr]

    undone = run("undo")
    assert undone.returncode == 0, undone.stderr
    assert "restored calc.py" in undone.stdout
    assert (workspace_dir / "calc.py").read_bytes() == before
    redone = run("redo")
    assert redone.returncode == 0, redone.stderr
    assert (workspace_dir / "calc.py").read_bytes() != before


def test_json_is_events_only(run: Run, replies: str) -> None:
    ended = run(
        "run", "-", "--json", "--yes", "--check", CHECK, "--scripted", replies, stdin="fix calc.py"
    )
    events = [from_dict(json.loads(line)) for line in ended.stdout.splitlines()]
    names = [type(event).__name__ for event in events]
    assert names[0] == "SessionStarted"
    assert names[-1] == "TurnFinished"
    assert events[-1].exit_code == ended.returncode == 0  # type: ignore[union-attr]
    assert "TextDelta" in names


def test_json_also_tells_an_error_at_the_start(run: Run) -> None:
    ended = run("run", "x", "--json")
    assert ended.returncode == 2
    failed = from_dict(json.loads(ended.stdout))
    assert (type(failed).__name__, failed.kind) == ("Failed", "ModelNotInstalled")  # type: ignore[union-attr]
    assert "localagent: error: " in ended.stderr


def test_not_solved_is_exit_code_1_and_nothing_is_changed(
    run: Run, tmp_path: Path, workspace_dir: Path
) -> None:
    before = (workspace_dir / "calc.py").read_bytes()
    script = tmp_path / "wrong.txt"
    script.write_text("--- reply repeat = true\ndef add(a, b):\n    return a * b\n```\n")
    ended = run(
        "run",
        "fix add in calc.py",
        "--check",
        "grep -q never calc.py",
        "--scripted",
        str(script),
        "--yes",
    )
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "not solved" in ended.stdout
    assert "nothing was changed" in ended.stdout
    assert (workspace_dir / "calc.py").read_bytes() == before


def test_a_limit_is_exit_code_5(run: Run, replies: str) -> None:
    ended = run(
        *("run", "fix add in calc.py", "--check", CHECK, "--scripted", replies, "--yes"),
        *("--max-tokens", "1"),
    )
    assert ended.returncode == 5, ended.stdout + ended.stderr
    assert "--max-tokens" in ended.stdout


def test_a_backend_that_fails_is_exit_code_4(run: Run, tmp_path: Path) -> None:
    script = tmp_path / "dead.txt"
    script.write_text('--- reply repeat = true, error = "WorkerDied"\n')
    ended = run("run", "fix add in calc.py", "--check", CHECK, "--scripted", str(script), "--yes")
    assert ended.returncode == 4, ended.stdout + ended.stderr
    assert "the model failed" in ended.stdout


def test_config_show_tells_every_source(run: Run, home: Path, workspace_dir: Path) -> None:
    (home / ".config/localagent").mkdir(parents=True)
    (home / ".config/localagent/config.toml").write_text("threads = 2\n")
    (workspace_dir / ".localagent").mkdir()
    (workspace_dir / ".localagent/config.toml").write_text("max_seconds = 90\ncheck = 'x'\n")
    shown = run("config", "show", LOCALAGENT_WINDOW="4096", LOCALAGENT_THREADZ="1")
    rows = [line.split(maxsplit=1) for line in shown.stdout.splitlines() if line[:1].isalpha()]
    lines = {row[0]: row[1] for row in rows}
    assert lines["threads"].startswith("2 ")
    assert str(home / ".config/localagent/config.toml") in lines["threads"]
    assert lines["window"].startswith("4096 ") and "LOCALAGENT_WINDOW" in lines["window"]
    assert lines["max_seconds"].split()[0] == "90"
    assert lines["check"].startswith("(unset) ") and "default" in lines["check"]
    assert "the project proposes the check 'x'" in shown.stdout
    assert "did you mean LOCALAGENT_THREADS?" in shown.stderr


def test_a_bad_settings_file_names_file_and_key(run: Run, home: Path) -> None:
    (home / ".config/localagent").mkdir(parents=True)
    (home / ".config/localagent/config.toml").write_text("max_secnds = 2\n")
    ended = run("run", "x")
    assert ended.returncode == 2
    assert "config.toml: unknown setting 'max_secnds'" in ended.stderr
    assert "hint: did you mean max_seconds?" in ended.stderr


def test_models_list_and_docs(run: Run) -> None:
    listed = run("models", "list")
    assert listed.returncode == 0, listed.stderr
    assert "*  qwen2.5-coder-1.5b-instruct" in listed.stdout
    pages = run("docs")
    assert "cli " in pages.stdout
    name = pages.stdout.split()[0]
    assert run("docs", name).stdout.startswith("# ")


def test_a_reader_that_goes_away_is_no_fault(replies: str, workspace_dir: Path) -> None:
    command = [sys.executable, "-m", "localagent", "run", "fix add in calc.py", "--json", "--yes"]
    process = subprocess.Popen(
        [*command, "--check", CHECK, "--scripted", replies],
        cwd=workspace_dir,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert b"session_started" in process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(timeout=60) == 141


def test_hostile_names_reach_no_output_raw(run: Run) -> None:
    ended = run("sessions", "show", "\x1b[2Jx")
    assert "\x1b" not in ended.stderr
    assert "\\x1b[2Jx" in ended.stderr


def test_output_that_cannot_be_encoded_is_escaped(run: Run, replies: str) -> None:
    ended = run(
        *("run", "fix add in calc.py → ü", "--check", CHECK, "--scripted", replies, "--yes"),
        PYTHONIOENCODING="ascii",
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "\\u2192" in ended.stdout
    assert ended.stdout.isascii()


def test_print_writes_only_the_answer_into_a_pipe(run: Run, replies: str) -> None:
    printed = run("-p", "what does add do?", "--scripted", replies)
    plain = run("run", "what does add do?", "--scripted", replies)
    assert printed.returncode == 0
    assert printed.stdout.strip() in plain.stdout
    assert not {"localagent", "took", "read"} & set(printed.stdout.split())
    assert "took" in printed.stderr


def test_print_reads_the_task_from_a_pipe(workspace_dir: Path, replies: str) -> None:
    command = [sys.executable, "-m", "localagent", "-p", "--scripted", replies]
    done = subprocess.run(
        command, input="what does add do?", capture_output=True, text=True, cwd=workspace_dir
    )
    assert done.returncode == 0 and done.stdout.strip()


def test_json_result_writes_one_object(run: Run, replies: str) -> None:
    words = ("-p", "what does add do?", "--scripted", replies)
    printed = run(*words, "--output-format", "json")
    result = json.loads(printed.stdout)
    assert (result["type"], result["is_error"], result["outcome"]) == ("result", False, "answered")
    assert result["result"] == run(*words).stdout.strip()
    assert result["session_id"] in printed.stderr
    failed = run(*words, "--json-result", "--resume", "nosuch")
    result = json.loads(failed.stdout)
    assert failed.returncode != 0 and result["is_error"] and "nosuch" in result["result"]
