"""`localagent config set | unset | edit | path`, in processes of their own and at a terminal."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from administrator import under_policy
from command_line import run_in
from terminal import at_terminal

OWN = """\
# Mine.
max_seconds = 900  # a quarter of an hour

# Who does what.
[roles]
small = "tiny"
"""


@pytest.fixture
def own(home: Path) -> Path:
    path = home / ".config" / "localagent" / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text(OWN)
    return path


def config(folder: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return run_in(folder, "config", *words, **env)


def test_set_and_unset_keep_the_rest(workspace_dir: Path, own: Path) -> None:
    done = config(workspace_dir, "set", "max_seconds", "60")
    assert (done.returncode, done.stdout) == (0, f"max_seconds  60  {own}\n"), done.stderr
    assert config(workspace_dir, "set", "mode", "plan").returncode == 0
    assert config(workspace_dir, "set", "roles.planner", "big").returncode == 0
    assert config(workspace_dir, "set", "fallback", "a, b").returncode == 0
    text = own.read_text()
    assert text == (
        "# Mine.\nmax_seconds = 60  # a quarter of an hour\n"
        'mode = "plan"\nfallback = ["a", "b"]\n\n'
        '# Who does what.\n[roles]\nsmall = "tiny"\nplanner = "big"\n'
    )
    for key in ("mode", "fallback", "roles.planner"):
        assert config(workspace_dir, "unset", key).returncode == 0
    assert own.read_text() == OWN.replace("900", "60")
    assert "is not set in" in config(workspace_dir, "unset", "mode").stderr
    assert config(workspace_dir, "set", "roles", "small=a, planner=b").returncode == 0
    assert "roles  small = a, planner = b" in config(workspace_dir, "show", "roles").stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("set", "mode", "yolo"), "mode is 'yolo'"),
        (("set", "max_seconds", "soon"), "max_seconds is 'soon'"),
        (("set", "mod", "ask"), "did you mean mode?"),
        (("set", "mode.x", "ask"), "mode is a single value"),
        (("set", "permissions", "allow"), "localagent config edit"),
        (("set", "roles.chief", "x"), "unknown setting 'chief'"),
        (("unset", "mod"), "did you mean mode?"),
        (("show", "mod"), "did you mean mode?"),
        (("set", "--project", "model", "x"), "a project may not set model"),
        (("edit",), "config edit needs a terminal"),
    ],
)
def test_what_is_wrong_is_said_and_changes_nothing(
    workspace_dir: Path, own: Path, words: tuple[str, ...], message: str
) -> None:
    done = config(workspace_dir, *words)
    assert done.returncode in (2, 3)
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert own.read_text() == OWN
    assert not (workspace_dir / ".localagent" / "config.toml").exists()


def test_what_another_source_decides_is_shown(workspace_dir: Path, own: Path) -> None:
    done = config(workspace_dir, "set", "mode", "auto", LOCALAGENT_MODE="plan")
    assert done.stdout == 'mode  "plan"  LOCALAGENT_MODE\n'
    done = config(workspace_dir, "set", "model", "no-such-model")
    assert "models.lock has no model 'no-such-model'" in done.stderr
    file = workspace_dir / ".localagent" / "config.toml"
    done = config(workspace_dir, "set", "--project", "max_seconds", "9999")
    assert "a project may only lower it" in done.stderr
    assert file.read_text() == "max_seconds = 9999\n"
    assert config(workspace_dir, "path").stdout == f"{own}\n"
    assert config(workspace_dir, "path", "--project").stdout == f"{file}\n"
    done = config(workspace_dir, "set", "--project", "check", "make test")
    assert done.stdout == f'check  "make test"  {file}\n'
    assert "each user accepts it: localagent config set check CMD" in done.stderr
    done = config(workspace_dir, "unset", "--project", "check")
    assert done.stdout == f"check  (unset)  {file}\n"


def test_the_users_file_may_be_a_link_and_a_projects_may_not(
    workspace_dir: Path, own: Path, tmp_path: Path
) -> None:
    kept = tmp_path / "dotfiles.toml"
    own.rename(kept)
    own.symlink_to(kept)
    assert config(workspace_dir, "set", "nice", "5").returncode == 0
    assert own.is_symlink()
    assert "nice = 5\n" in kept.read_text()
    target = tmp_path / "bashrc"
    folder = workspace_dir / ".localagent"
    folder.mkdir()
    (folder / "config.toml").symlink_to(target)
    done = config(workspace_dir, "set", "--project", "mode", "plan")
    assert done.returncode == 2
    assert "is a link" in done.stderr
    assert not target.exists()


def test_what_the_policy_sets_is_locked(workspace_dir: Path, own: Path, tmp_path: Path) -> None:
    start = [sys.executable, "-P", "-m", "localagent", "config"]
    policy = 'mode = "ask"\nroles = { small = "theirs" }\n'
    for words in (("mode", "auto"), ("roles.small", "mine")):
        command = [*start, "set", *words, "-C", str(workspace_dir)]
        done = under_policy(policy, tmp_path / "etc", command)
        assert done.returncode == 2
        assert "is locked: the administrator's policy /etc/localagent/policy.toml" in done.stderr
        assert own.read_text() == OWN
    shown = under_policy(policy, tmp_path / "etc", [*start, "show", "-C", str(workspace_dir)])
    assert "policy /etc/localagent/policy.toml (locked by the administrator)" in shown.stdout


def test_edit_writes_only_what_is_right(workspace_dir: Path, own: Path, tmp_path: Path) -> None:
    editor = tmp_path / "editor"
    editor.write_text(
        f"#!{sys.executable}\nimport pathlib, sys\np = pathlib.Path(sys.argv[1])\n"
        "t = p.read_text()\nbad = 'yolo' in t\n"
        "p.write_text(t.replace('yolo', 'plan') if bad else t + '# seen\\n'"
        " if '[roles]' not in t else 'mode = \"yolo\"\\n')\n"
    )
    editor.chmod(0o755)
    command = [sys.executable, "-m", "localagent", "config", "edit"]
    with at_terminal(command, workspace_dir, VISUAL=str(editor)) as terminal:
        terminal.until("mode is 'yolo'")
        terminal.until("edit again? [Y/n]")
        assert own.read_text() == OWN
        terminal.type("\n")
        terminal.until("changed ")
        assert terminal.rest() == 0
    assert own.read_text() == 'mode = "plan"\n'
    own.write_text(OWN)
    with at_terminal(command, workspace_dir, VISUAL=str(editor)) as terminal:
        terminal.until("edit again? [Y/n]")
        terminal.type("n\n")
        assert terminal.rest() == 3
    assert own.read_text() == OWN
    with at_terminal(command, workspace_dir, VISUAL="false") as terminal:
        terminal.until("the editor ended with an error")
        assert terminal.rest() == 3
    assert own.read_text() == OWN
