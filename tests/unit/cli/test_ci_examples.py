"""The examples of docs/ci: their commands exist, and need no network and no secret."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from localagent.cli.main import build_parser

FOLDER = Path(__file__).resolve().parents[3] / "localagent" / "docs" / "ci"
JOBS = ("github.yml", "gitlab.yml", "jenkins.groovy")


def command(name: str) -> list[str]:
    """The command line of localagent in an example of a job."""
    text = (FOLDER / name).read_text(encoding="utf-8").replace("\\\n", " ")
    match = re.search(r"^ *(localagent ci .*(?:\n +(?:--\S+ \S+ ?)+$)*)", text, re.M)
    assert match is not None
    return shlex.split(match[1])


@pytest.mark.parametrize("name", JOBS)
def test_the_command_of_a_job_parses(name: str) -> None:
    args = build_parser().parse_args(command(name)[1:])
    assert args.task == ["fix the failing tests"]
    assert args.yes and args.max_seconds == 900
    assert str(args.patch) == "reports/fix.patch"
    assert str(args.junit) == "reports/junit.xml"


@pytest.mark.parametrize("path", sorted(FOLDER.iterdir()), ids=lambda path: path.name)
def test_an_example_begins_with_its_purpose_and_names_no_secret(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert re.match(r"(#|//) \S+.*\n(#|//)\n", text)
    assert not re.search(r"secrets\.|token|password|curl |wget ", text, re.I)


def test_pre_commits_review_parses() -> None:
    text = (FOLDER / "pre-commit.yaml").read_text(encoding="utf-8")
    line = re.search(r"entry: localagent (review.*)$", text, re.M)
    assert line is not None
    assert build_parser().parse_args(shlex.split(line[1])).fail_on == "error"


def test_pre_commits_hook_gives_git_hooks_arguments() -> None:
    text = (FOLDER / "pre-commit.yaml").read_text(encoding="utf-8")
    line = re.search(r"localagent (commit-message --hook .*)' --$", text, re.M)
    assert line is not None
    words = [word.replace("$1", "FILE") for word in shlex.split(line[1])]
    assert build_parser().parse_args(words).hook[0] == "FILE"
