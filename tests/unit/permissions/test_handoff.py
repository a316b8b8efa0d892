"""Files that other programs run later are asked for, unless the user named or allowed them."""

from __future__ import annotations

import pytest

from localagent.permissions.handoff import runs_later
from localagent.permissions.rules import Permissions, Rule

LATER = (
    *(".vscode/tasks.json", ".idea/x.xml", ".husky/pre-commit", ".github/workflows/ci.yml"),
    *("Makefile", "sub/Makefile", "conftest.py", "a/b/evil.pth", "package.json", ".gitattributes"),
    *(".pre-commit-config.yaml", ".devcontainer/x.json", ".exrc", ".cargo/config.toml"),
    *(".venv/bin/python", "node_modules/.bin/x", ".claude/settings.local.json", "sitecustomize.py"),
    *("a.code-workspace", ".hg/hgrc", ".jj/repo/config.toml", ".zed/tasks.json", "mise.toml"),
    *("Gemfile", "gradlew", ".mvn/jvm.config", "CMakeLists.txt", ".yarn/releases/yarn.cjs"),
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


@pytest.mark.parametrize("path", ["src/app.py", "docs/Makefile.md", "vscode/x.py", "bin/x"])
def test_other_files_are_edited(path: str) -> None:
    assert not runs_later(path)
    assert Permissions().decide("write", "write", path, mode="auto-edit").action == "allow"
