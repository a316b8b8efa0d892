"""`localagent search` and `localagent index`, as a user runs them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from command_line import run_in


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    (root / "tests").mkdir(parents=True)
    (root / "money.py").write_text("def round_cents(value):\n    return round(value, 2)\n")
    (root / "tests" / "test_money.py").write_text("from money import round_cents\n")
    return root


def localagent(
    project: Path, *words: str, given: str = "", home: Path | None = None
) -> subprocess.CompletedProcess[str]:
    cache = home or project.parent / "cache"
    return run_in(project, *words, given=given, XDG_CACHE_HOME=str(cache))


def test_search_shows_files_and_passages(project: Path) -> None:
    done = localagent(project, "search", "cents are rounded wrongly")
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "money.py  (round_cents has words of it)",
        "  1-2  round_cents",
        "tests/test_money.py",
        "  1-1",
    ]


def test_search_reads_a_traceback_from_stdin_and_writes_json(project: Path) -> None:
    trace = f'File "{project}/money.py", line 2, in round_cents\nTypeError: no number\n'
    done = localagent(project, "search", "-", "--json", "--limit", "1", given=trace)
    (found,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert found["path"] == "money.py" and found["passages"][0]["line"] == 2
    assert "the traceback passes line 2" in found["reasons"]


def test_nothing_found_and_nothing_asked(project: Path) -> None:
    done = localagent(project, "search", "zzzzzz")
    assert (done.returncode, done.stdout) == (1, "nothing was found\n")
    done = localagent(project, "search", "  ")
    assert done.returncode == 2 and "the question is empty" in done.stderr


def test_index_is_made_shown_and_removed(project: Path) -> None:
    assert "no index yet" in localagent(project, "index").stdout
    built = localagent(project, "index", "build").stdout.splitlines()
    assert built[0].startswith("2 files, 3 lines, 2 pieces, 1 definition: ")
    assert Path(built[1]).is_file()
    assert localagent(project, "index", "--json").stdout.startswith('{"file": ')
    status = json.loads(localagent(project, "index", "status", "--json").stdout)
    assert (status["files"], status["dead"]) == (2, 0)
    assert localagent(project, "index", "drop").stdout == "removed\n"
    assert not Path(built[1]).exists()
    assert localagent(project, "index", "drop").stdout == "no index\n"


def test_an_index_that_cannot_be_written_is_said(project: Path, tmp_path: Path) -> None:
    (tmp_path / "blocked").write_text("a file where a folder should be")
    done = localagent(project, "search", "cents", home=tmp_path / "blocked")
    assert done.returncode == 2
    assert "cannot be used" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "words", [["index"], ["index", "build"], ["index", "drop"], ["search", "x"]]
)
def test_what_lies_in_the_place_of_an_index_is_said(project: Path, words: list[str]) -> None:
    place = Path(localagent(project, "index", "build").stdout.splitlines()[1])
    place.unlink()
    (place / "inside").mkdir(parents=True)
    done = localagent(project, *words)
    assert done.returncode == 2
    assert "cannot be used" in done.stderr and "Traceback" not in done.stderr


def test_a_number_that_is_none_is_said_plainly(project: Path) -> None:
    for text in ("0", "many"):
        done = localagent(project, "search", "cents", "--limit", text)
        assert done.returncode == 2
        assert f"--limit: '{text}' is not a whole number of at least 1" in done.stderr
