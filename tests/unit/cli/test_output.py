"""A result becomes text, tables or JSON in one place; a session collects it instead."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import pytest

from localagent.cli.options import Parser, add_command, add_json
from localagent.cli.output import CliResult, Console, new_file, table_lines, text_result
from localagent.cli.session_console import run_in_session
from localagent.core.errors import RefusedError, UsageError, WorkspaceError
from localagent.ui.chat.output import Output

RESULT = CliResult(
    [Output("note", "careful"), Output("table", title="both:", rows=(("a", "1"), ("bc", "2")))],
    [{"a": 1}, {"bc": 2}],
    exit_code=1,
    json_lines=True,
)


def test_for_people_results_go_to_stdout_and_notes_to_stderr(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert Console().finish(RESULT, as_json=False) == 1
    out, err = capsys.readouterr()
    assert out == "both:\na   1\nbc  2\n"
    assert err == "localagent: careful\n"


def test_as_json_stdout_has_only_data(capsys: pytest.CaptureFixture[str]) -> None:
    assert Console().finish(RESULT, as_json=True) == 1
    out, err = capsys.readouterr()
    assert [json.loads(line) for line in out.splitlines()] == RESULT.data
    assert err == "localagent: careful\n"


def test_escape_sequences_are_shown_not_sent(capsys: pytest.CaptureFixture[str]) -> None:
    Console().show(Output("text", "a\x1b[2Jb"), Output("error", "c\x1bd", hint="e\x1bf"))
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err
    assert "\\x1b" in out and err.count("\\x1b") == 2


def test_a_long_cell_shifts_only_its_own_row() -> None:
    lines = table_lines([("x" * 60, "1"), ("y", "2")])
    assert lines == ["x" * 60 + "  1", "y" + " " * 39 + "  2"]


def test_without_a_terminal_only_yes_confirms() -> None:
    console = Console()
    console.interactive = False
    assert console.confirm("sure?", yes=True, action="deleted")
    with pytest.raises(RefusedError, match="nothing was deleted"):
        console.confirm("sure?", yes=False, action="deleted")


def parser_of(execute: object) -> Parser:
    parser = Parser("localagent")
    commands = parser.add_subparsers()
    command = add_command(commands, "toy", "a toy", execute)  # type: ignore[arg-type]
    command.add_argument("file", type=Path, nargs="?")
    add_json(command)
    return parser


def run(execute: object, *words: str, cancelled: bool = False) -> list[Output]:
    return run_in_session(parser_of(execute), ["toy", *words], Path("/w"), lambda: cancelled)


def test_a_session_gets_the_outputs_and_files_of_its_workspace() -> None:
    outputs = run(lambda args: text_result(str(args.file)), "a/b")
    assert outputs == [Output("text", str(Path("/w/a/b")))]


def test_json_is_text_in_a_session() -> None:
    assert run(lambda _: text_result("x", data={"a": 1}), "--json") == [Output("text", '{"a": 1}')]


def test_outputs_before_an_error_stay() -> None:
    def fails(args: argparse.Namespace) -> CliResult:
        args.console.show(Output("text", "first"))
        raise WorkspaceError("broken", "repair it")

    assert run(fails) == [Output("text", "first"), Output("error", "broken", hint="repair it")]


def test_a_session_asks_nothing_and_stops_when_cancelled() -> None:
    def asks(args: argparse.Namespace) -> CliResult:
        args.console.confirm("sure?", yes=False, action="deleted")
        return CliResult()

    def works(args: argparse.Namespace) -> CliResult:
        with args.console.progress() as progress:
            progress.files(1, 2)
        return text_result("done")

    assert [output.kind for output in run(asks)] == ["error"]
    assert run(works) == [Output("text", "done")]
    assert run(works, cancelled=True) == [Output("note", "stopped")]


def test_help_is_an_output_and_a_mistake_an_error() -> None:
    (output,) = run(lambda _: CliResult(), "--help")
    assert output.text.startswith("usage: localagent toy")
    with pytest.raises(UsageError, match="unrecognized"):
        run(lambda _: CliResult(), "--frob")


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_a_file_is_not_written_through_a_link(tmp_path: Path) -> None:
    (dangling := tmp_path / "a").symlink_to(tmp_path / "target")
    (leading := tmp_path / "b").symlink_to(tmp_path / "file")
    (tmp_path / "file").write_text("old")
    for link in (dangling, leading):
        for overwrite in (False, True):
            with pytest.raises(UsageError, match="it is a link"):
                new_file(link, b"new", overwrite=overwrite)
    assert not (tmp_path / "target").exists()
    new_file(tmp_path / "file", b"new", overwrite=True)
    assert (tmp_path / "file").read_text() == "new"
