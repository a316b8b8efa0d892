"""A workspace that was made to let commands out: hidden places in it, links, trees without end."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from localagent.core.errors import SandboxError
from localagent.sandbox.base import Command, Sandbox
from localagent.sandbox.select import CONFINING

pytestmark = [
    pytest.mark.sandbox,
    pytest.mark.skipif(sys.platform != "linux", reason="sandboxes exist on Linux"),
]
SECRET = "a secret of the user"
DEEP = """
import os
for _ in range({}):
    os.mkdir({!r})
    os.chdir({!r})
"""


@pytest.fixture
def homely(short: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home as workspace, in which git ignores everything, and a link in place of objects."""
    root = short / "home"
    for name in (".ssh/id", ".config/gh/hosts.yml", ".netrc", "notes"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(SECRET)
    for number in range(600):  # too many to be copied
        (root / f".config/{number}").touch()
        (root / f"many/.ssh-{number}").parent.mkdir(exist_ok=True)
        (root / f"many/.ssh-{number}").touch()
    (root / ".gitignore").write_text("*\n")
    (root / ".git/info").mkdir(parents=True)
    (root / ".git/info/exclude").symlink_to(root / "notes")  # the copy names linked folders there
    (root / ".git/refs").mkdir()
    (root / ".git/HEAD").write_text("ref: refs/heads/main\n")
    (root / ".git/objects").symlink_to("/")
    (root / "locked").mkdir()
    (root / "locked/f").write_text("kept")
    (root / "locked").chmod(0)
    monkeypatch.setenv("HOME", str(root))
    return root


@pytest.mark.parametrize("kind", CONFINING)
def test_hidden_places_stay_hidden(
    kind: str, homely: Path, shared_sandboxes: Callable[[str], Sandbox]
) -> None:
    names = " ".join(f"{homely}/{name}" for name in (".ssh/id", ".config/gh/hosts.yml", ".netrc"))
    objects = f"/tmp/.localagent-objects{homely}/.ssh/id .git/objects{homely}/.ssh/id"
    with shared_sandboxes(kind).open(homely) as snapshot:
        done = snapshot.run(
            Command(f"cat {names} {objects} .ssh/id .config/gh/hosts.yml .netrc; echo; cat notes")
        )
        assert done.output.count(SECRET) == 1, done.output  # the notes
        assert snapshot.changes() == ()
        snapshot.run(Command("echo x > new"))
        assert [change.path for change in snapshot.changes()] == ["new"]
    (homely / "locked").chmod(0o700)
    assert (homely / "notes").read_text() == SECRET


@pytest.mark.parametrize("kind", ["unshare", "landlock"])
def test_deep_folders(
    kind: str, workspace_dir: Path, shared_sandboxes: Callable[[str], Sandbox]
) -> None:
    (workspace_dir / "deep.py").write_text(DEEP.format(201, "d", "d"))
    (workspace_dir / "wide.py").write_text(DEEP.format(20, "d" * 200, "d" * 200))
    python = f"{sys.executable} -I -S"
    with shared_sandboxes(kind).open(workspace_dir) as snapshot:
        assert snapshot.run(Command(f"{python} deep.py")).exit_code == 0
        with pytest.raises(SandboxError, match="nested too deeply"):
            snapshot.changes()
        snapshot.run(Command("rmdir $(find d -type d | tail -1)"))
        assert len(snapshot.changes()) == 200
        snapshot.run(Command(f"rm -r d; {python} wide.py"))
        with pytest.raises(SandboxError, match="nested too deeply"):
            snapshot.changes()
