"""Completion in the shells that are installed, and the man page in the formatter."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import run_in

from localagent.cli.documentation import all_parsers, man_page
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


@pytest.fixture
def bash_script(tmp_path: Path) -> Path:
    if shutil.which("bash") is None:
        pytest.skip("bash is not installed")
    return write_script("bash", tmp_path)


def write_script(shell: str, folder: Path) -> Path:
    command = [sys.executable, "-m", "localagent", "completion", shell]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    path = folder / "completion"
    path.write_text(done.stdout)
    return path


def offered(script: Path, line: str) -> set[str]:
    """What bash offers for the line that was typed so far."""
    words = line.split(" ")
    quoted = " ".join(f"'{word}'" for word in words)
    code = (
        f"source '{script}'; COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; "
        '_shtab_localagent; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    return set(done.stdout.splitlines())


@pytest.mark.parametrize(("line", "there", "missing"), CASES, ids=[c[0] for c in CASES])
def test_bash_offers(bash_script: Path, line: str, there: set[str], missing: set[str]) -> None:
    words = offered(bash_script, line)
    assert there <= words
    assert not missing & words


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_accepts_its_script(shell: str, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    done = subprocess.run(
        [shell, "-n", write_script(shell, tmp_path)], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_has_every_command_and_option(shell: str, tmp_path: Path) -> None:
    text = write_script(shell, tmp_path).read_text()
    for parser in all_parsers(build_parser()):
        assert parser.prog.rpartition(" ")[2] in text
        for action in parser._actions:
            assert all(name.lstrip("-") in text for name in action.option_strings)


def test_another_shell_is_an_error(workspace_dir: Path) -> None:
    done = run_in(workspace_dir, "completion", "tcsh")
    assert (done.returncode, done.stdout) == (2, "")
    assert "invalid choice" in done.stderr


def test_the_formatter_accepts_it_and_shows_the_words(tmp_path: Path) -> None:
    groff = shutil.which("groff")
    if groff is None:
        pytest.skip("groff is not installed")
    page = tmp_path / "localagent.1"
    page.write_text(man_page(build_parser()), encoding="utf-8")
    command = [groff, "-man", "-Tutf8", "-ww", "-b", "-K", "utf8", str(page)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    text = " ".join(re.sub(".\x08", "", done.stdout).split())  # no bold, no even margins
    for words in (
        "localagent config set",
        "Carry out",
        "exit codes:",
        "the administrator's policy",
    ):
        assert words in text
