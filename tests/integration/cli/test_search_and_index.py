"""`localagent search` and `localagent index`, as a user runs them."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from command_line import run_in

from localagent.cli import search
from localagent.cli.main import main


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
        "money.py  (round_cents matches your words)",
        "  1-2  round_cents",
        "tests/test_money.py",
        "  1-1",
    ]


def test_search_reads_a_traceback_from_stdin_and_writes_json(project: Path) -> None:
    trace = f'File "{project}/money.py", line 2, in round_cents\nTypeError: no number\n'
    done = localagent(project, "search", "-", "--json", "--limit", "1", given=trace)
    (found,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert found["path"] == "money.py" and found["passages"][0]["line"] <= 2
    assert "the traceback passes line 2" in found["reasons"]


def test_forms_and_filters(project: Path) -> None:
    (project / "bill.py").write_text(
        "from money import round_cents\n\ndef bill(x):\n    # Sums up.\n    return round_cents(x)\n"
    )
    done = localagent(project, "search", "calls:round_cents")
    assert done.stdout.splitlines() == ["bill.py:5  return round_cents(x)", "    in bill"]
    done = localagent(project, "search", "def:round_cents", "--json")
    assert json.loads(done.stdout) == {
        "path": "money.py", "line": 1, "end_line": 2, "kind": "function", "name": "round_cents",
        "text": "def round_cents(value)",
    }  # fmt: skip
    done = localagent(project, "search", "tests:money.py")
    assert done.stdout.splitlines() == ["tests/test_money.py"]
    done = localagent(project, "search", "ref:round_cents path:bill.py", "--limit", "1")
    assert done.stdout.splitlines() == [
        "bill.py:1  from money import round_cents",
        "… and more; use --limit, or a filter (path:, lang:, kind:)",
    ]
    done = localagent(project, "search", "cents kind:test")
    assert done.stdout.splitlines()[0] == "tests/test_money.py"
    done = localagent(project, "search", "lang:cobol cents")
    assert done.returncode == 2 and done.stderr.startswith(
        "localagent: error: unknown language 'cobol'"
    )
    assert localagent(project, "search", "calls:nobody").stdout == "nothing was found\n"


def test_an_index_that_is_not_finished_answers_and_says_so(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for n in range(120):
        (project / f"m{n}.py").write_text(f"def cents_{n}(): pass\n")
    for path in project.rglob("*.py"):
        os.utime(path, (1e9, 1e9))  # what was written just now is read again the next time
    monkeypatch.setattr(search, "_MAX_SECONDS", 0.0)
    monkeypatch.chdir(project)
    assert main(["search", "cents"]) == 0
    out, err = capsys.readouterr()
    assert out
    assert err == (
        "localagent: the index is still being built, 64 of 122 files so far:"
        " localagent index build completes it\n"
    )
    assert main(["search", "cents"]) == 0
    assert "still being built" not in capsys.readouterr().err  # it went on where it was


def test_nothing_found_and_nothing_asked(project: Path) -> None:
    done = localagent(project, "search", "zzzzzz")
    assert (done.returncode, done.stdout) == (1, "nothing was found\n")
    done = localagent(project, "search", "  ")
    assert done.returncode == 2 and "the question is empty" in done.stderr


def test_index_is_made_shown_and_removed(project: Path) -> None:
    assert "no index yet" in localagent(project, "index").stdout
    built = localagent(project, "index", "build").stdout.splitlines()
    assert built[0].startswith("2 files, 3 lines, 2 chunks, 1 definition: ")
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
