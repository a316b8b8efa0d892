"""The man page holds every command, safely; `docs` lists the pages."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

import pytest

from localagent.cli.documentation import all_parsers, docs, man_page
from localagent.cli.main import build_parser
from localagent.cli.options import Parser
from localagent.core.errors import UsageError


def test_every_command_and_option_is_on_it() -> None:
    text = man_page(build_parser()).replace("\\-", "-")
    for parser in all_parsers(build_parser()):
        assert parser.prog == "localagent" or f".SS {parser.prog}\n" in text
        for action in parser._actions:
            assert all(name in text for name in action.option_strings)


def test_nothing_in_a_help_text_is_an_instruction_to_the_formatter() -> None:
    parser = Parser(
        "x",
        description=".so /etc/passwd\n'br\n\\n(.x",
        epilog=".de y",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for line in man_page(parser).splitlines():
        assert not line.startswith((".so", ".de", "'"))
        assert "\\n" not in line


def test_guides_come_before_decision_records() -> None:
    (table,) = docs(argparse.Namespace(page=None)).outputs
    names = [row[0] for row in table.rows]
    assert {"cli", "config", "extending"} <= set(names)
    depths = [name.count("/") for name in names]
    assert depths == sorted(depths)


def test_an_unknown_page_is_an_error_with_one_hint() -> None:
    with pytest.raises(UsageError) as caught:
        docs(argparse.Namespace(page="nosuch"))
    assert caught.value.hint == "localagent docs lists the pages"


def test_the_build_hook_adds_the_page_but_not_to_an_editable_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("hatchling")
    for name in ("COLUMNS", "NO_COLOR", "PYTHON_COLORS"):
        monkeypatch.setenv(name, "80" if name == "COLUMNS" else "1")
    root = Path(__file__).resolve().parents[3]
    monkeypatch.syspath_prepend(str(root / "scripts"))
    hook = importlib.import_module("hatch_build").ManPageHook(
        str(root), {}, None, None, str(tmp_path), "wheel"
    )
    data: dict[str, dict[str, str]] = {"shared_data": {}}
    hook.initialize("editable", data)
    assert data["shared_data"] == {}
    hook.initialize("standard", data)
    ((page, target),) = data["shared_data"].items()
    assert target == "share/man/man1/localagent.1"
    assert Path(page).read_text(encoding="utf-8").startswith(".TH LOCALAGENT 1")
