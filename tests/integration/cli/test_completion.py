"""`localagent completion`, tried in the shells that are installed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import run_in

from localagent.cli.completion import levels
from localagent.cli.main import build_parser

# What is typed, what has to be offered, and what must not.
CASES = [
    ("localagent ", {"run", "config", "completion"}, {"set", "--shipped"}),
    ("localagent con", {"config", "context"}, {"run"}),
    ("localagent config ", {"set", "unset", "show", "edit", "path"}, {"run"}),
    ("localagent config set --p", {"--project"}, {"--planner"}),
    ("localagent run --pla", {"--planner"}, {"--project"}),
    ("localagent run --mode ", {"plan", "ask", "auto-edit", "auto"}, {"run", "--mode"}),
    ("localagent completion ", {"bash", "zsh", "fish"}, {"run"}),
]


@pytest.fixture(scope="module", params=["bash", "zsh", "fish"])
def shell(request: pytest.FixtureRequest) -> str:
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    return str(request.param)


@pytest.fixture
def script(shell: str, tmp_path: Path) -> Path:
    command = [sys.executable, "-m", "localagent", "completion", shell]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    path = tmp_path / "completion"
    path.write_text(done.stdout)
    return path


def offered(shell: str, script: Path, line: str) -> set[str]:
    """What the shell's own completion offers for the line that was typed so far."""
    words = line.split(" ")
    if shell == "bash":
        quoted = " ".join(f"'{word}'" for word in words)
        code = (
            f"source '{script}'; COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; _localagent; "
            'printf "%s\\n" "${COMPREPLY[@]}"'
        )
    elif shell == "fish":
        code = f"source '{script}'; complete -C '{line}'"
    else:  # the functions that the script offers its words with, as zsh has them only at a prompt
        quoted = " ".join(f"'{word}'" for word in words)
        code = (
            "compdef() { : }; _files() { : }\n"
            "_describe() { print -l -- ${(P)2%%:*} }\n"
            "compadd() { shift; print -l -- $@ }\n"
            f"source '{script}'; words=({quoted}); CURRENT={len(words)}; _localagent"
        )
    done = subprocess.run([shell, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    found = {text.split("\t")[0] for text in done.stdout.splitlines()}
    # Only zsh and fish filter by what is typed themselves, after the script.
    return {word for word in found if word.startswith(words[-1])}


@pytest.mark.parametrize(("line", "there", "missing"), CASES, ids=[c[0] for c in CASES])
def test_a_shell_offers(
    shell: str, script: Path, line: str, there: set[str], missing: set[str]
) -> None:
    found = offered(shell, script, line)
    assert there <= found
    assert not missing & found


def test_the_scripts_are_made_of_every_command() -> None:
    known = {level.path: level for level in levels(build_parser())}
    assert {"localagent", "localagent run", "localagent config set"} <= set(known)
    for path, level in known.items():
        for name in level.commands:
            assert f"{path} {name}" in known


def test_another_shell_is_an_error(workspace_dir: Path) -> None:
    done = run_in(workspace_dir, "completion", "tcsh")
    assert (done.returncode, done.stdout) == (2, "")
    assert "invalid choice" in done.stderr
