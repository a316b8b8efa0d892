"""Files that other programs run later are asked for, unless the user named or allowed them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from localagent.permissions.handoff import HandoffFiles, runs_later
from localagent.permissions.rules import Permissions, Rule

LATER = (
    *(".vscode/tasks.json", ".idea/x.xml", ".husky/pre-commit", ".github/workflows/ci.yml"),
    *("Makefile", "sub/Makefile", "conftest.py", "a/b/evil.pth", "package.json", ".gitattributes"),
    *(".pre-commit-config.yaml", ".devcontainer/x.json", ".exrc", ".cargo/config.toml"),
    *(".venv/bin/python", "node_modules/.bin/x", ".claude/settings.local.json", "sitecustomize.py"),
    *("a.code-workspace", ".hg/hgrc", ".jj/repo/config.toml", ".zed/tasks.json", "mise.toml"),
    *("Gemfile", "gradlew", ".mvn/jvm.config", "CMakeLists.txt", ".yarn/releases/yarn.cjs"),
    *("env/bin/activate", ".venv/Scripts/python.exe", ".venv/pyvenv.cfg", "pyvenv.cfg"),
    *(".venv/lib/python3.11/site-packages/pip/__init__.py", "env/lib64/site-packages/x.py"),
    *(".config/autostart/x.desktop", ".config/systemd/user/x.service", ".local/bin/ls"),
    *("requirements.txt", "requirements-dev.txt", "deps/test_requirements.txt", "Pipfile"),
    # a link, or a file, in the place of a folder
    *(".venv", "env", "node_modules", ".github", ".vscode", "a/.yarn", ".github/workflows"),
    *(".VSCode/tasks.json", "MAKEFILE", ".dir-locals.el", ".bazelrc", ".gdbinit", ".mcp.json"),
)


@pytest.mark.parametrize("path", LATER)
@pytest.mark.parametrize("mode", ["ask", "auto-edit", "auto"])
def test_asked_for_in_every_mode(path: str, mode: str) -> None:
    rules = Permissions()
    arguments = {"mode": mode, "confined": True}
    verdict = rules.decide("write", "write", path, **arguments)
    assert verdict.action == "ask"
    named = frozenset([path])
    assert rules.decide("write", "write", path, named=named, **arguments).action == "allow"
    asking = Permissions([Rule("write", "*", "ask")])
    assert asking.decide("write", "write", path, **arguments).reason == verdict.reason
    allowing = Permissions([Rule("write", "*", "allow")])
    assert allowing.decide("write", "write", path, **arguments).action == "allow"


@pytest.mark.parametrize(
    "path", ["src/app.py", "docs/Makefile.md", "vscode/x.py", "bin/x", "github/a"]
)
def test_other_files_are_edited(path: str) -> None:
    assert not runs_later(path)
    assert Permissions().decide("write", "write", path, mode="auto-edit").action == "allow"


def linked(root: Path, links: dict[str, str], *files: str) -> HandoffFiles:
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("old\n")
    for link, target in links.items():
        (root / link).parent.mkdir(parents=True, exist_ok=True)
        (root / link).symlink_to(target)
    return HandoffFiles(root)


@pytest.mark.parametrize(
    ("links", "path"),
    [
        ({"Makefile": "build/rules.txt"}, "build/rules.txt"),
        ({".github": "ci"}, "ci/workflows/a.yml"),
        ({".github": "ci", "ci/workflows": "../flows"}, "flows/new/a.yml"),
        ({"sub/.envrc": "../a", "a": "ops/env.txt"}, "ops/env.txt"),
        ({".venv": "not/yet/there"}, "not/yet/there/bin/python"),
        ({".venv": "b", "c": "d"}, "b"),
        ({"x": ".vscode"}, "x/tasks.json"),
    ],
)
def test_links_that_lead_to_a_file_count(tmp_path: Path, links: dict[str, str], path: str) -> None:
    files = linked(tmp_path, links, "src/app.py", "build/other.txt")
    assert not runs_later(path) and files.runs_later(path)
    rules = Permissions(runs_later=files.runs_later)
    assert rules.decide("write", "write", path, mode="auto", confined=True).action == "ask"
    for other in ("src/app.py", "build/other.txt", "ci.yml", "new"):
        assert not files.runs_later(other)


def test_links_elsewhere_and_in_a_circle_do_not_count(tmp_path: Path) -> None:
    links = {"Makefile": "/etc/passwd", "a": "b", "b": "a", "all": ".", ".vscode": "../up"}
    files = linked(tmp_path / "root", links, "src/app.py")
    assert not files.runs_later("src/app.py") and not files.runs_later("etc/passwd")


def test_many_names_of_a_file_are_asked_about(tmp_path: Path) -> None:
    """Nobody can say then whether one of them is a name that a program obeys."""
    links = {f"link{number}": "." for number in range(4)} | {f"a{n}": "src" for n in range(60)}
    files = linked(tmp_path, links, "src/app.py")
    assert files.runs_later("src/app.py")


def test_programs_of_every_environment_count(tmp_path: Path) -> None:
    files = linked(tmp_path, {}, "tools/py/pyvenv.cfg", "tools/py/bin/activate", "tools/bin/x")
    assert files.runs_later("tools/py/bin/activate") and not files.runs_later("tools/bin/x")


def test_the_search_for_links_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folders at the top come first, and those of packages are left out."""
    packages = [f"node_modules/p{number}/x.js" for number in range(100)]
    files = linked(tmp_path, {".envrc": "a/b/env"}, *packages, "a/b/c/d/e")
    read: list[str] = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: (read.append(str(path)), scandir(path))[1])
    assert files.runs_later("a/b/env") and not files.runs_later("a/b/c/d/e")
    assert len(read) == 5
