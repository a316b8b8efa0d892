"""The manual page: every command is on it, and the formatter has nothing to say against it."""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import localagent
from localagent.cli.completion import levels, page
from localagent.cli.main import build_parser

MANUAL = Path(localagent.__file__).parent / "docs" / "localagent.1"


def test_every_command_and_option_is_on_it() -> None:
    text = MANUAL.read_text(encoding="utf-8").replace("\\-", "-")
    for level in levels(build_parser()):
        assert level.path == "localagent" or f".SS {level.path}\n" in text
        assert all(name in text for flag in level.flags for name in flag.names)


def test_the_formatter_accepts_it_and_shows_the_words() -> None:
    groff = shutil.which("groff")
    if groff is None:
        pytest.skip("groff is not installed")
    command = [groff, "-man", "-Tutf8", "-ww", "-b", "-K", "utf8", str(MANUAL)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    shown = " ".join(re.sub(".\x08", "", done.stdout).split())  # no bold, no even margins
    for words in (
        "localagent config set",
        "Carry out",
        "exit codes:",
        "the administrator's policy",
    ):
        assert words in shown


def test_nothing_in_a_help_text_is_an_instruction_to_the_formatter() -> None:
    parser = argparse.ArgumentParser(
        "x", description=".so /etc/passwd\n'br\n\\n(.x", epilog=".de y"
    )
    for line in page(parser).splitlines():
        assert not line.startswith((".so", ".de", "'"))
        assert "\\n" not in line
