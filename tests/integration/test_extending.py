"""The worked examples of docs/extending.md, carried out in a copy of the program.

Each test reads the blocks of one example from the page, applies them to a copy, and uses the new
part in an interpreter of its own, since the copy takes the place of the package.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "localagent" / "docs" / "extending.md"
BLOCK = re.compile(r"^(?:`([\w./]+)`:\n\n)?(````?)(python|diff|text)\n(.*?)^\2$", re.M | re.S)


def example(title: str) -> list[tuple[str, str, str]]:
    """The blocks of an example: path, kind ("python", "text" or "diff") and content."""
    text = PAGE.read_text(encoding="utf-8").partition("## Changing localagent itself")[2]
    section = re.split(r"^### ", text.partition(f"### {title}\n")[2], maxsplit=1, flags=re.M)[0]
    blocks = []
    path = ""
    for named, _, kind, content in BLOCK.findall(section):
        path = named or path
        blocks.append((path, kind, content))
    assert blocks
    return blocks


def carry_out(copy: Path, title: str) -> list[str]:
    """Apply an example to the copy; the paths that it touches."""
    for path, kind, content in example(title):
        target = copy / path
        if kind != "diff":
            assert not target.exists()
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(content, encoding="utf-8")
            continue
        lines = content.splitlines()
        old = "\n".join(line[1:] for line in lines if line.startswith("-"))
        new = "\n".join(line[1:] for line in lines if line.startswith("+"))
        text = target.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{path}: {old!r}"
        target.write_text(text.replace(old, new), encoding="utf-8")
    return sorted({path for path, _, _ in example(title)})


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The package and the tests, without what is cached."""
    ignore = shutil.ignore_patterns("__pycache__", "sample", "golden")
    for name in ("localagent", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignore)
    for name in ("models.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def run(copy: Path, *arguments: str) -> str:
    """The output of this interpreter with the copy as its package."""
    environment = {**os.environ, "PYTHONPATH": str(copy)}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=copy,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_tool(copy: Path) -> None:
    touched = carry_out(copy, "A tool")
    assert [path for path in touched if path.endswith(".py")] == [
        "localagent/tools/count.py",
        "localagent/tools/registry.py",
    ]
    code = """
from pathlib import Path
from localagent.context.prompts import Prompts
from localagent.tools.base import ToolContext
from localagent.tools.registry import specs, standard_tools
from localagent.workspace.workspace import Workspace
Path("two.txt").write_text("a\\nb\\n")
context = ToolContext(Workspace.open(Path.cwd()), None, lambda changes: None)
action = standard_tools()["count"].prepare({"path": "two.txt"}, context)
print(action.effect, action.perform().for_model)
print(specs()["count"].verb, "count" in Prompts([], {}, {}).text(specs()["count"].prompt))
"""
    assert run(copy, "-c", code).splitlines() == ["read two.txt has 2 lines", "count True"]


def test_a_command_of_the_command_line(copy: Path) -> None:
    assert len(carry_out(copy, "A command of the command line")) == 2
    version = run(copy, "-m", "localagent", "--version").split()[-1]
    assert run(copy, "-m", "localagent", "version").strip() == version
    assert run(copy, "-m", "localagent", "version", "--json").strip() == (
        f'{{"version": "{version}"}}'
    )
    assert "show the version" in run(copy, "-m", "localagent", "--help")


def test_a_slash_command(copy: Path) -> None:
    assert len(carry_out(copy, "A slash command")) == 2
    code = """
from localagent.ui.chat.commands import COMMANDS
command = next(command for command in COMMANDS if command.name == "version")
print(*(output.text for output in command.run(None, "")))
"""
    assert re.fullmatch(r"\d+\.\d+\.\d+", run(copy, "-c", code).strip())


@pytest.mark.parametrize(("title", "files"), [("A strategy", 3), ("A model backend", 3)])
def test_with_its_own_test(copy: Path, title: str, files: int) -> None:
    touched = carry_out(copy, title)
    assert len(touched) == files
    test = next(path for path in touched if path.startswith("tests/"))
    assert "1 passed" in run(copy, "-m", "pytest", "-o", "addopts=--import-mode=importlib", test)


def test_a_backend_is_opened_by_its_name(copy: Path) -> None:
    carry_out(copy, "A model backend")
    code = """
from localagent.models import BACKENDS, open_model
from localagent.models.base import ModelInfo, Profile
from types import SimpleNamespace
info = ModelInfo("m", "echo", "", Profile())
print(type(open_model(SimpleNamespace(backend="echo"), info, None)).__name__)
"""
    assert run(copy, "-c", code).strip() == "EchoModel"
