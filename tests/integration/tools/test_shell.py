"""The `shell` tool, in a real sandbox, with a real journal."""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sandbox_fixtures import OVERLAY_AND_COPIES, NewSandbox

from localagent.core.errors import ToolError
from localagent.core.messages import ToolResult
from localagent.tools.base import ToolContext
from localagent.tools.registry import standard_tools
from localagent.tools.shell import shortened

Use = Callable[..., ToolResult]


def test_output_and_exit_code(use: Use) -> None:
    result = use("shell", body="echo out; echo err >&2; exit 3\n")
    assert not result.ok
    assert result.for_model == "exit code 3\nout\nerr"
    assert result.for_person.startswith("$ echo out")


def test_changes_reach_the_workspace_when_it_is_over(use: Use, root: Path) -> None:
    result = use("shell", body="echo new > new.txt; rm notes.txt; mkdir empty; echo x >> README.md")
    assert result.ok
    assert "changed: README.md, new.txt, notes.txt (deleted)" in result.for_model
    assert (root / "new.txt").read_text() == "new\n"
    assert not (root / "notes.txt").exists()


def test_prepare_runs_nothing(context: ToolContext, root: Path) -> None:
    action = standard_tools()["shell"].prepare({"body": "\ntouch ran\n"}, context)
    assert (action.effect, action.subject, action.preview) == (
        "execute",
        "touch ran",
        "$ touch ran",
    )
    assert not (root / "ran").exists()


def test_gits_own_files_are_left_alone(use: Use, root: Path) -> None:
    result = use(
        "shell", body="mkdir -p .git/hooks && echo evil > .git/hooks/pre-commit; echo a > a"
    )
    assert "changed: a" in result.for_model
    assert "git's own files were not kept" in result.for_model
    assert not (root / ".git").exists()


def test_files_that_lead_further_are_named_or_left(use: Use, root: Path) -> None:
    """Files that other programs run later, links out, repositories in folders, odd names."""
    result = use(
        "shell",
        body="mkdir -p .vscode evil.git; echo '{}' > .vscode/tasks.json; ln -s /etc out;"
        "ln -s src in; cd evil.git; mkdir objects refs; echo x > HEAD;"
        "echo '[core]' > config; cd ..;"
        "printf x > \"$(printf 'two\\nlines')\"",
    )
    assert "other programs run or obey these later: .vscode/tasks.json" in result.for_model
    assert "links out of the workspace: out to /etc\n" in f"{result.for_model}\n"
    assert "not kept: evil.git/HEAD, evil.git/config" in result.for_model
    assert "'two\\nlines'" in result.for_model
    assert not (root / "evil.git/HEAD").exists() and (root / "in").is_symlink()


@pytest.mark.parametrize("kind", OVERLAY_AND_COPIES)
def test_a_file_in_place_of_a_link_leaves_the_target_alone(
    kind: str, context: ToolContext, new_sandbox: NewSandbox, root: Path
) -> None:
    """No rule looks at the target, so the new content must not go there."""
    (root / "link").symlink_to("notes.txt")
    inside = dataclasses.replace(
        context, sandbox=new_sandbox(kind), denies=lambda path: path == "notes.txt"
    )
    body = {"body": "rm link; echo new > link"}
    result = standard_tools()["shell"].prepare(body, inside).perform()
    assert "changed: link\n" in f"{result.for_model}\n"
    assert not (root / "link").is_symlink() and (root / "link").read_text() == "new\n"
    assert (root / "notes.txt").read_text() == "Total: 3\n"


@pytest.mark.parametrize("kind", OVERLAY_AND_COPIES)
@pytest.mark.parametrize("replaced", ["link", "below/link", "file"])
def test_nothing_goes_below_a_refused_folder(
    kind: str, replaced: str, context: ToolContext, new_sandbox: NewSandbox, root: Path
) -> None:
    """What stays in the folder's place is a link, which would lead the files elsewhere."""
    (root / "below").mkdir()
    (root / "link").symlink_to("src")
    (root / "below/link").symlink_to("../src")
    (root / "file").write_text("old\n")
    inside = dataclasses.replace(
        context, sandbox=new_sandbox(kind), denies=lambda path: path == replaced
    )
    command = f"rm {replaced}; mkdir -p {replaced}/deep; echo evil > {replaced}/app.py"
    body = {"body": f"{command}; echo evil > {replaced}/deep/new.py; echo x > other"}
    result = standard_tools()["shell"].prepare(body, inside).perform()
    refused = f"{replaced}, {replaced}/app.py, {replaced}/deep, {replaced}/deep/new.py"
    assert f"not kept, as no tool may change it: {refused}\n" in f"{result.for_model}\n"
    assert (root / "src/app.py").read_text().startswith("import os")
    assert not (root / "src/deep").exists()
    assert (root / "other").read_text() == "x\n"


def test_a_folder_stays_with_a_refused_file_in_it(context: ToolContext, root: Path) -> None:
    inside = dataclasses.replace(context, denies=lambda path: path == "src/app.py")
    standard_tools()["shell"].prepare({"body": "rm -r src"}, inside).perform()
    assert [path.name for path in (root / "src").iterdir()] == ["app.py"]


def test_a_folder_may_have_the_name_of_a_secret(context: ToolContext, root: Path) -> None:
    """The rules judge each file in the folder, and the folder itself holds no secret."""
    inside = dataclasses.replace(context, denies=lambda path: path == "credentials")
    body = {"body": "mkdir credentials; echo x > credentials/client.go"}
    result = standard_tools()["shell"].prepare(body, inside).perform()
    assert (root / "credentials/client.go").read_text() == "x\n"
    assert "not kept" not in result.for_model


SETTINGS = "printf '[core]\\nbare=false\\nworktree=.\\nfsmonitor=echo > ../started;:\\n'"


@pytest.mark.parametrize(
    "commands",
    [
        # in the top folder
        (f"mkdir objects refs; echo 'ref: refs/heads/a' > HEAD; {SETTINGS} > config",),
        # step by step, with a link in place of HEAD
        (
            "mkdir -p a/refs; ln -s refs/heads/a a/HEAD",
            f"mkdir -p a/objects; {SETTINGS} > a/config",
        ),
        ("mkdir -p a/refs a/objects", f"echo 'ref: refs/heads/a' > a/HEAD; {SETTINGS} > a/config"),
        # objects, refs and settings in another folder
        (
            "mkdir -p a b/objects b/refs; echo 'ref: refs/heads/a' > a/HEAD; echo ../b >"
            f" a/commondir; printf '[extensions]\\nworktreeConfig=true\\n' > b/config;"
            f"{SETTINGS} > a/config.worktree",
        ),
    ],
)
def test_no_command_makes_a_repository_by_another_name(
    use: Use, root: Path, commands: tuple[str, ...]
) -> None:
    for command in commands:
        result = use("shell", body=command)
        assert result.ok
    assert "git's own files were not kept" in result.for_model
    for folder in (root, *(each for each in (root / "a", root / "b") if each.is_dir())):
        subprocess.run(["git", "status"], cwd=folder, check=False, capture_output=True)
    assert not [*root.rglob("started"), *root.parent.glob("started")]


def test_a_repository_by_another_name_can_be_deleted(use: Use, root: Path) -> None:
    subprocess.run(["git", "init", "-q", "--bare", root / "a.git"], check=True)
    assert use("shell", body="rm -r a.git").ok
    assert not (root / "a.git").exists()


def test_time_limit(context: ToolContext) -> None:
    short = dataclasses.replace(context, shell_seconds=0.5)
    result = standard_tools()["shell"].prepare({"body": "echo hi; sleep 60"}, short).perform()
    assert not result.ok
    assert "the time limit" in result.for_model
    assert "hi" in result.for_model


def test_cancelled_changes_are_not_kept(context: ToolContext, root: Path) -> None:
    stopped = dataclasses.replace(context, cancelled=lambda: True)
    action = standard_tools()["shell"].prepare({"body": "echo a > a; sleep 60"}, stopped)
    assert "stopped by the user" in action.perform().for_model
    assert not (root / "a").exists()


def test_no_such_command(use: Use) -> None:
    assert "the command was not found" in use("shell", body="surely-not-a-command").for_model


@pytest.mark.parametrize("body", ["", " \n", "echo a\0b"])
def test_refused(use: Use, body: str) -> None:
    with pytest.raises(ToolError):
        use("shell", body=body)


@given(st.text("ab\n", max_size=400), st.integers(100, 300))
def test_shortened(text: str, limit: int) -> None:
    short = shortened(text, limit)
    assert len(short) <= max(limit, 0) + 20
    assert short == text or "lines left out" in short
    if short != text:
        assert text.endswith(short.split(" lines left out …\n")[1])
