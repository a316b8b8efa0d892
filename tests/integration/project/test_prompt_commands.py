"""Commands from files: their front matter, their arguments, and whose are used."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest

from localagent.config.policy import Policy
from localagent.core.errors import UsageError
from localagent.core.events import Mode
from localagent.permissions.consent import Consent, load
from localagent.project import prompt_commands as frontmatter
from localagent.project.project import Project
from localagent.project.prompt_commands import (
    PromptCommand,
    PromptCommands,
    prompt_commands,
    user_folder,
)
from localagent.workspace.workspace import Workspace


def command(text: str, **more: object) -> PromptCommand:
    return PromptCommand("x", text, "x.md", **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "given", "task"),
    [
        ("Review $1.", "a.py", "Review a.py."),
        ("Review $1.", ["a b.py"], "Review a b.py."),
        ("$2, then $1", "'one two' three", "three, then one two"),
        ("Do: $ARGUMENTS!", "  the user's name ", "Do: the user's name!"),
        ("Do: $ARGUMENTS!", ["a b", "c"], "Do: a b c!"),
        ("Do: $ARGUMENTS!", "", "Do: !"),
        ("Do ${ARGUMENTS:-all of it}", "", "Do all of it"),
        ("Do ${2:-x y} to ${1}", "a", "Do x y to a"),
        ("Do ${2:-x y} to ${1}", "a b", "Do b to a"),
        (
            "It costs $100 and \\$1, $HOME, $ARGUMENTSX",
            "",
            "It costs $100 and $1, $HOME, $ARGUMENTSX",
        ),
        ("Plain.", "", "Plain."),
        ("Plain.", "and it's more", "Plain.\n\nand it's more"),
        ("$1 $2", "'$2' '${1:-z}'", "$2 ${1:-z}"),  # what is put in is not looked into
        ("$1", [r"\$1"], r"\$1"),
    ],
)
def test_arguments_are_put_in(text: str, given: str | list[str], task: str) -> None:
    assert command(text).task(given) == task


def test_a_missing_word_and_an_open_quote_are_said() -> None:
    with pytest.raises(UsageError, match="needs at least 2, but got 1 argument") as caught:
        command("$1 $2", arguments="FROM TO").task("a")
    assert caught.value.hint == "arguments: FROM TO"
    with pytest.raises(UsageError, match=r"quote in the arguments of the command .* is not closed"):
        command("Rename $1").task("the user's name")


@pytest.mark.parametrize(
    ("wanted", "bound", "now", "mode"),
    [
        (None, True, "auto", "auto"),
        ("auto", False, "ask", "auto"),
        ("auto", True, "ask", "ask"),
        ("plan", True, "auto", "plan"),
        ("plan", False, "auto", "plan"),
    ],
)
def test_a_projects_command_can_only_be_stricter(
    wanted: Mode | None, bound: bool, now: Mode, mode: Mode
) -> None:
    assert command("x", mode=wanted, bound=bound).mode_from(now) == mode


@pytest.mark.parametrize(
    ("text", "values", "body"),
    [
        ("no front matter\n---\nx: y\n", {}, "no front matter\n---\nx: y\n"),
        (
            "---\na: b\n\n# said\nc-d: 'e: f'\ne:\n---\nbody\n",
            {"a": "b", "c-d": "e: f", "e": ""},
            "body",
        ),
        ('---\r\na: "b"\r\n---\r\nbody', {"a": "b"}, "body"),
        ("---\n---\n", {}, ""),
    ],
)
def test_front_matter(text: str, values: dict[str, str], body: str) -> None:
    assert frontmatter.split(text) == (values, body)


@pytest.mark.parametrize(
    ("text", "why"),
    [("---\na: b\n", "no closing line"), ("---\n- a\n---\n", "line 2 is not 'key: value'")],
)
def test_front_matter_that_cannot_be_read(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        frontmatter.split(text)


def put(folder: Path, **texts: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / f"{name}.md").write_text(text)
    return folder


def known(root: Path, setting: str = "ask", locked: bool = False) -> PromptCommands:
    project = Project.open(root)
    locks = {Path("/policy.toml"): {"mode": "ask"}} if locked else {}
    settings = replace(
        project.settings, project_files=setting, policy=Policy(settings=MappingProxyType(locks))
    )
    return prompt_commands(replace(project, settings=settings))


def test_the_users_own(tmp_path: Path) -> None:
    put(
        user_folder(),
        review="---\ndescription: Look at it\nmode: plan\nargument-hint: FILE\nmodel: big\n---\n$1",
        plain="# Do the thing\n\nNow.",
        broken="---\nmode: yolo\n---\nx",
        empty="---\nmode: ask\n---\n\n",
    )
    (user_folder() / "no name.md").write_text("x")
    (user_folder() / "bytes.md").write_bytes(b"\xff\xfe and more")
    (user_folder() / "gone.md").symlink_to(tmp_path / "nowhere")
    found = known(tmp_path)
    assert list(found.found) == ["bytes", "plain", "review"]
    review = found.get("/review")
    assert (review.description, review.mode, review.arguments) == ("Look at it", "plan", "FILE")
    assert found.get("plain").description == "Do the thing"
    assert set(found.unusable) == {"broken", "empty", "gone", "no name"}
    told = "\n".join(found.warnings)
    assert (
        "broken.md is not used: unknown mode 'yolo'; the modes are plan, ask, auto-edit, auto"
        in told
    )
    assert "review.md: unknown keys in the front matter: model" in told
    with pytest.raises(UsageError, match=r"broken\.md is not used: unknown mode 'yolo'"):
        found.get("broken")
    with pytest.raises(UsageError, match="unknown command 'other'") as caught:
        found.get("other")
    assert "bytes, plain, review" in caught.value.hint


def test_a_projects_need_consent_and_do_not_hide_the_users(workspace_dir: Path) -> None:
    folder = put(
        workspace_dir / ".localagent" / "commands",
        mine="theirs",
        fix="---\nmode: auto\n---\nFix $1",
    )
    put(user_folder(), mine="my own")
    found = known(workspace_dir)
    assert list(found.found) == ["mine"]
    with pytest.raises(UsageError, match="you have not agreed") as caught:
        found.get("fix")
    assert caught.value.hint == "localagent trust add .localagent/commands/fix.md"
    put(folder, **{"a; touch b": "Fix $1"})
    with pytest.raises(UsageError) as caught:
        known(workspace_dir).get("a; touch b")
    assert caught.value.hint == "localagent trust add '.localagent/commands/a; touch b.md'"
    workspace = Workspace.open(workspace_dir)
    for name in ("mine", "fix"):
        path = f".localagent/commands/{name}.md"
        Consent(workspace.root).agree(load(workspace, path, "command"))
    found = known(workspace_dir)
    assert found.get("mine").text == "my own"
    assert any("commands/mine.md is not used" in notice for notice in found.warnings)
    assert found.get("fix").mode_from("ask") == "ask"
    assert known(workspace_dir, locked=True).get("mine").bound
    assert list(known(workspace_dir, "never").found) == ["mine"]
    (folder / "fix.md").write_text("Fix everything")
    with pytest.raises(UsageError, match="you have not agreed"):
        known(workspace_dir).get("fix")
