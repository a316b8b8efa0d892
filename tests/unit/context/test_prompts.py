"""Prompt files: placeholders, replacements, and clear errors."""

from pathlib import Path

import pytest

from localagent.context.prompts import SHIPPED, Prompts
from localagent.core.errors import ConfigError


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
    with pytest.raises(ConfigError, match=r"a\.md uses \{\{unknown\}\}"):
        Prompts([tmp_path]).render("a", known="")
    with pytest.raises(ConfigError, match="no prompt 'b'"):
        Prompts([tmp_path]).text("b")


def put(folder: Path, **texts: str) -> Path:
    for name, text in texts.items():
        path = folder / f"{name.replace('__', '/')}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_what_replaces_a_prompt_is_checked_before_it_is_used(tmp_path: Path) -> None:
    assert Prompts([tmp_path / "none"]).check() == []
    put(tmp_path, workflow__system="mine", workflow__sytem="x", react__result="{{tool}} only")
    (tmp_path / ".hidden.md").write_text("{{y}}")
    told = Prompts([tmp_path], {"tools/read": "theirs", "tools/reed": "x"}).check()
    assert told == [
        ".localagent/prompts/tools/reed.md is not used: there is no prompt 'tools/reed'; "
        "did you mean tools/read?",
        f"{tmp_path}/react/result.md does not use {{{{result}}}}, so the model does not read it",
        f"{tmp_path}/workflow/sytem.md is not used: there is no prompt 'workflow/sytem'; "
        "did you mean workflow/system?",
    ]
    put(tmp_path, workflow__file="{{path}} {{pth}}")
    with pytest.raises(ConfigError, match=r"workflow/file\.md uses \{\{pth\}\}") as caught:
        Prompts([tmp_path]).check()
    assert caught.value.hint == "it can use: path"
    with pytest.raises(ConfigError, match=r"\.localagent/prompts/tools/read\.md uses \{\{a\}\}"):
        Prompts([], {"tools/read": "{{a}}"}).check()
    (tmp_path / "workflow" / "file.md").write_bytes(b"ab\xff")
    with pytest.raises(ConfigError, match=r"file\.md: byte 2 is not UTF-8"):
        Prompts([tmp_path]).check()


def test_every_shipped_prompt_is_read_as_utf8_and_ends_with_one_newline() -> None:
    found = sorted(SHIPPED.rglob("*.md"))
    assert len(found) > 10
    for path in found:
        text = path.read_text(encoding="utf-8")
        assert text.endswith("\n"), path
        assert not text.endswith("\n\n"), path
