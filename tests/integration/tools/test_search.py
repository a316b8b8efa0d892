"""The `search` tool."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from localagent.core.errors import OutsideWorkspace, ToolError
from localagent.core.messages import ToolResult
from localagent.tools import search
from localagent.tools.base import ToolContext
from localagent.tools.registry import standard_tools

Use = Callable[..., ToolResult]


def test_regex(use: Use) -> None:
    assert use("search", pattern=r"def total\b").for_model == (
        "1 line in 1 file\nsrc/app.py:4: def total(items):"
    )


def test_every_file_that_git_shows_and_no_other(use: Use) -> None:
    result = use("search", pattern="total").for_model
    assert "README.md:3: A shop with a total()." in result
    assert "src/util.py:2: return total(cart)" in result
    assert "build/" not in result
    assert ".env" not in result


@pytest.mark.parametrize(
    ("path", "files"),
    [
        ("src", {"src/app.py", "src/util.py"}),
        ("src/", {"src/app.py", "src/util.py"}),
        ("src/util.py", {"src/util.py"}),
        ("*.md", {"README.md"}),
        ("**/*.py", {"src/app.py", "src/util.py"}),
        ("./src/a*.py", {"src/app.py"}),
    ],
)
def test_scope(use: Use, path: str, files: set[str]) -> None:
    lines = use("search", pattern="total", path=path).for_model.split("\n")[1:]
    assert {line.split(":")[0] for line in lines} == files


def test_what_is_no_pattern_is_a_text(use: Use) -> None:
    result = use("search", pattern="total(").for_model
    assert "not a valid pattern" in result
    assert "src/app.py:4" in result
    assert "README.md:3" in use("search", pattern="total()").for_model
    assert "as a literal text" in use("search", pattern="sum(items)").for_model


def test_literal(use: Use) -> None:
    assert "was not found" in use("search", pattern="t.tal", mode="literal").for_model


def test_case_is_ignored_where_nothing_else_is_found(use: Use) -> None:
    assert use("search", pattern="TOTAL_PRICE").for_model == (
        "1 line in 1 file (in any case)\nsrc/util.py:1: def total_price(cart):"
    )
    assert "in any case" not in use("search", pattern="Total").for_model


def test_nothing_found(use: Use) -> None:
    result = use("search", pattern="zebra", path="src")
    assert result.ok
    assert result.for_model == "'zebra' was not found in src (2 files)"


def test_many_hits_are_shared_among_files(use: Use, root: Path) -> None:
    for n in range(30):
        (root / f"many_{n:02}.txt").write_text("needle in a line\n" * 100)
    result = use("search", pattern="needle").for_model
    assert len(result) <= 4000
    assert result.startswith("3000 lines in 30 files\n")
    assert "many_00.txt:1: needle" in result
    assert "many_15.txt:1: needle" in result
    assert "… more in many_00.txt (98)" in result


def test_lines_are_counted_as_read_counts_them(use: Use, root: Path) -> None:
    (root / "odd.txt").write_bytes(b"a\r\nb\rc\x0c\xe2\x80\xa8d\nneedle \xe9\n")
    assert "odd.txt:4: needle" in use("search", pattern="needle").for_model
    assert use("read", path="odd.txt", lines="4").for_model.split("|")[1].startswith("needle")


def test_matches_over_several_lines_and_empty_ones(use: Use) -> None:
    assert "src/app.py:4" in use("search", pattern=r"items\):\n\s+return").for_model
    assert use("search", pattern="^", path="notes.txt").for_model.startswith("1 line in 1 file")


def test_a_pattern_that_never_ends_is_stopped(
    use: Use, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "_SECONDS", 0.5)
    (root / "evil.txt").write_text("a" * 50 + "!\n")
    start = time.monotonic()
    result = use("search", pattern="(a+)+$", path="evil.txt")
    assert time.monotonic() - start < 30
    assert not result.ok
    assert "stopped after 0.5 s" in result.for_model


def test_cancelled(context: ToolContext, root: Path) -> None:
    (root / "evil.txt").write_text("a" * 50 + "!\n")
    stopped = dataclasses.replace(context, cancelled=lambda: True)
    tool = standard_tools()["search"]
    assert tool.prepare({"pattern": "(a+)+$"}, stopped).perform().for_model


def test_the_workspace_cannot_put_modules_in_the_way(use: Use, root: Path) -> None:
    for name in ("json.py", "re.py", "sitecustomize.py"):
        (root / name).write_text("raise SystemExit('hijacked')\n")
    assert "src/app.py" in use("search", pattern="class Cart").for_model


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pattern": ""}, "pattern: it is empty"),
        ({"pattern": "x", "path": "srx"}, "there is no srx"),
        ({"pattern": "x", "path": "*.zz"}, "no file matches"),
        ({"pattern": "x", "mode": "fuzzy"}, "mode: "),
        ({"pattern": "x", "path": ".env"}, "secrets"),
    ],
)
def test_refused(use: Use, arguments: dict[str, str], message: str) -> None:
    with pytest.raises(ToolError, match=message):
        use("search", **arguments)


def test_outside(use: Use) -> None:
    for path in ("..", "/etc", "../*", "/etc/*"):
        with pytest.raises(OutsideWorkspace):
            use("search", pattern="x", path=path)
