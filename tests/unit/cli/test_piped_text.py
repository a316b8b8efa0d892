"""Text that is piped to a task: only a pipe is read, and a silent one is left alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from localagent.cli.run import piped_text

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows cannot wait for a pipe")


@pytest.fixture
def pipe() -> tuple[int, int]:
    return os.pipe()


def test_a_pipe_is_read_to_its_end(pipe: tuple[int, int]) -> None:
    os.write(pipe[1], "three\nlines of \xe4\n".encode())
    os.close(pipe[1])
    assert piped_text(pipe[0]) == "three\nlines of \xe4"


def test_an_empty_pipe_is_no_text(pipe: tuple[int, int]) -> None:
    os.close(pipe[1])
    assert piped_text(pipe[0]) == ""


def test_a_silent_pipe_is_left_alone(
    pipe: tuple[int, int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert piped_text(pipe[0], seconds=0.01) == ""
    assert "stdin is a pipe without text" in capsys.readouterr().err


def test_a_file_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("the next task of a loop\n")
    with (tmp_path / "list").open() as file:
        assert piped_text(file.fileno()) == ""
        assert file.readline() == "the next task of a loop\n"
