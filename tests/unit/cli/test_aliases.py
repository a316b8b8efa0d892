"""What users of other programs type: each works, or ends in one sentence that names what does."""

from __future__ import annotations

import shlex

import pytest

from localagent.cli.aliases import translate
from localagent.cli.main import _translate, build_parser
from localagent.core.errors import UsageError

PARSER = build_parser()


def own(line: str, *, terminal: bool = True) -> str:
    words = _translate(shlex.split(line), PARSER, terminal=terminal)
    return shlex.join(words)


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("'fix the test'", "--first 'fix the test'"),
        ("--model x 'fix the test'", "--model x --first 'fix the test'"),
        ("-c 'fix the test'", "-c --first 'fix the test'"),
        ("--resume 'fix the test'", "--resume --first 'fix the test'"),
        ("--resume ab12 'fix the test'", "--resume ab12 --first 'fix the test'"),
        ("-p 'fix it'", "run -p 'fix it'"),
        ("'fix it' -p", "run 'fix it' -p"),
        ("--print hello", "run --print hello"),
        ("-p --output-format json 'fix it'", "run -p --json-result 'fix it'"),
        ("-p 'fix it' --output-format stream-json", "run -p 'fix it' --json"),
        ("run 'fix it' --output-format=text", "run 'fix it'"),
        ("run --format json 'fix it'", "run --json 'fix it'"),
        ("'fix it' --json", "run 'fix it' --json"),
        ("'fix it' --output-format json", "run 'fix it' --json-result"),
        ("exec 'fix it'", "run 'fix it'"),
        ("exec --json 'fix it'", "run --json 'fix it'"),
        ("--message 'fix it' --yes", "run 'fix it' --yes"),
        ("--model x run 'fix it'", "run --model x 'fix it'"),
        ("-C dir run 'fix it'", "run -C dir 'fix it'"),
        ("-C dir undo", "undo -C dir"),
        ("-Cdir sessions list", "sessions list -Cdir"),
        ("-C dir search -- -x", "search -C dir -- -x"),
        ("-C dir", "-C dir"),
        ("help", "--help"),
        ("help run", "run --help"),
        ("version", "--version"),
        ("run -p", "run -p"),
        ("run -- -p", "run -- -p"),
        ("--json", "--json"),
        ("undo 2", "undo 2"),
        ("config", "config show"),
        ("sessions --all", "sessions list --all"),
        ("models", "models list"),
        ("init --print", "init --print"),
        ("-C dir init --print", "init --print -C dir"),
        ("-p undo", "run -p undo"),
        ("", ""),
    ],
)
def test_the_words_of_others_mean_the_same_here(typed: str, expected: str) -> None:
    assert own(typed) == expected


def test_a_task_without_a_terminal_is_run() -> None:
    assert own("--model x 'fix the test'", terminal=False) == "run --model x 'fix the test'"


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("login", "no account"),
        ("update", "git pull"),
        ("mcp list", "MCP"),
        ("chat", "localagent alone"),
        ("sesions list", "did you mean sessions?"),
        ("rum", "did you mean run?"),
        ("pyproject.toml", 'localagent "fix @pyproject.toml"'),
        ("@README.md", 'localagent "fix @README.md"'),
        (".", "localagent -C . works"),
        ("frobnicate", 'localagent run "frobnicate"'),
        ("fix the failing test", "quote it: localagent 'fix the failing test'"),
        ("--dangerously-skip-permissions", "--mode auto"),
        ("--yolo 'fix it'", "--mode auto"),
        ("--yes", "--mode auto"),
        ("--permission-mode plan", "--mode plan"),
        ("--image a.png", "no images"),
        ("-m 'fix it'", "--model ID"),
        ("-p x --output-format xml", "text, json"),
        ("--test-cmd 'pytest -q'", "--check CMD"),
        ("--architect", "/plan TASK"),
        ("--watch-files", "@src/app.py"),
        ("--message-file t.txt", "run - < FILE"),
        ("--lint", "--check CMD"),
        ("--commit", "/commit in a session"),
        ("--list-models x", "localagent models"),
        ("--dark-mode", "/theme"),
        ("--vim", "edit_mode vi"),
        ("--restore-chat-history", "--continue"),
        ("--chek y", "did you mean --check?"),
        ("--mesage y", "did you mean --message?"),
        ("--frob y", "see localagent --help"),
        ("hi", 'localagent run "hi"'),
    ],
)
def test_what_does_not_exist_is_one_sentence(typed: str, hint: str) -> None:
    with pytest.raises(UsageError) as raised:
        own(typed)
    assert hint in raised.value.hint


@pytest.mark.parametrize("option", ["--image a.png", "--max-turns 3", "--allowedTools x"])
def test_options_of_others_after_run_name_what_does_it(option: str) -> None:
    with pytest.raises(UsageError) as raised:
        PARSER.parse_args(["run", "fix it", *option.split()])
    assert "--help" not in raised.value.hint


def test_an_unknown_option_is_named_and_not_its_value() -> None:
    with pytest.raises(UsageError, match="no option --frob"):
        own("--frob value")


@pytest.mark.parametrize("line", ["run x --chek y", "run x --chek=y", "--chek 'fix the test'"])
def test_a_mistyped_option_gets_the_nearest_one(line: str) -> None:
    with pytest.raises(UsageError) as raised:
        PARSER.parse_args(shlex.split(own(line)))
    assert raised.value.hint == "did you mean --check?"


def test_commands_and_options_here_are_never_translated_away() -> None:
    for name in ("sessions", "models", "doctor", "config"):
        assert translate([name, "x"], (name,), {}, terminal=True) == [name, "x"]
