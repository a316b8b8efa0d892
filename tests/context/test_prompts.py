"""Prompt files: placeholders, replacements, and clear errors."""

from pathlib import Path

import pytest

from localagent.context.prompts import SHIPPED, Prompts
from localagent.errors import ConfigError


def test_values_are_put_in_as_they_are() -> None:
    text = Prompts().render("workflow/answer", question="what is {{path}}?")
    assert text.endswith("what is {{path}}?")


def test_an_empty_value_leaves_no_blank_lines(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("one\n{{x}}\n\ntwo\n{{y}}\n")
    assert Prompts([tmp_path]).render("a", x="", y="") == "one\ntwo"


def test_the_users_file_comes_first(tmp_path: Path) -> None:
    (tmp_path / "workflow").mkdir()
    (tmp_path / "workflow" / "system.md").write_text("mine\n")
    assert Prompts([tmp_path]).text("workflow/system") == "mine"
    assert Prompts([tmp_path]).text("workflow/file") == Prompts().text("workflow/file")


def test_unknown_names_are_said(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("{{unknown}}")
    with pytest.raises(ConfigError, match=r"'a' uses \{\{unknown\}\}"):
        Prompts([tmp_path]).render("a", known="")
    with pytest.raises(ConfigError, match="no prompt 'b'"):
        Prompts([tmp_path]).text("b")


def test_every_shipped_prompt_is_read_as_utf8_and_ends_with_one_newline() -> None:
    found = sorted(SHIPPED.rglob("*.md"))
    assert len(found) > 10
    for path in found:
        text = path.read_text(encoding="utf-8")
        assert text.endswith("\n"), path
        assert not text.endswith("\n\n"), path
