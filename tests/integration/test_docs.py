"""The documents say what is there: help texts, commands, settings, links; and no index's host."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from localagent.cli.main import Parser, build_parser
from localagent.config.schema import SETTINGS
from localagent.core.errors import UsageError
from localagent.core.events import TYPES

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "localagent" / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])


def test_the_help_texts_on_the_page_are_those_of_the_program() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "update-docs"), "--check"], timeout=60
    )
    assert done.returncode == 0, "run scripts/update-docs"


def test_a_changed_help_text_is_noticed(tmp_path: Path) -> None:
    """The script, told to look at a page with one word changed."""
    page = tmp_path / "cli.md"
    text = (DOCS / "cli.md").read_text(encoding="utf-8")
    page.write_text(text.replace("carry out a task", "carry out two tasks"), encoding="utf-8")
    code = (
        "import importlib.machinery as m, importlib.util as u, pathlib, sys\n"
        f"loader = m.SourceFileLoader('update_docs', {str(ROOT / 'scripts/update-docs')!r})\n"
        "module = u.module_from_spec(u.spec_from_loader('update_docs', loader))\n"
        "loader.exec_module(module)\n"
        f"module.PAGE = pathlib.Path({str(page)!r})\n"
        "sys.argv = ['update-docs', '--check']\n"
        "sys.exit(module.main())\n"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 1


def _commands(parser: Parser) -> dict[str, Parser]:
    found = {parser.prog: parser}
    for action in parser._actions:
        if isinstance(action.choices, dict):
            for inner in action.choices.values():
                found |= _commands(inner)
    return found


def _shown_commands() -> list[tuple[str, str]]:
    """Every command line of localagent that a document shows, with where."""
    found = []
    for page in PAGES:
        text = re.sub(r"```text help .*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
        for line in text.splitlines():
            shown = re.match(r"^ {4,}(?:\$ )?(localagent [a-z].*)$", line)
            inline = re.findall(r"`(localagent [a-z][^`]*)`", line)
            found += [(str(page.relative_to(ROOT)), c) for c in inline]
            found += [(str(page.relative_to(ROOT)), shown[1])] if shown else []
    return found


def test_the_commands_that_documents_show_exist() -> None:
    known = _commands(build_parser())
    shown = _shown_commands()
    assert len(shown) > 30
    wrong = []
    for page, line in shown:
        words = line.split("  ")[0].replace("\\|", "|").split(" | ")[0].split(" … ")[0].split()
        depth = max(n for n in range(1, len(words) + 1) if " ".join(words[:n]) in known)
        parser = known[" ".join(words[:depth])]
        takes_actions = any(isinstance(a.choices, dict) for a in parser._actions)
        flags = {flag for action in parser._actions for flag in action.option_strings}
        unknown = [w for w in words[depth:] if re.fullmatch(r"--[a-z-]+", w) and w not in flags]
        if (takes_actions and depth < len(words) and depth < 2) or unknown:
            wrong.append((page, line))
    assert wrong == []


def test_the_readmes_examples_parse() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    examples = re.findall(r"^ {4}(localagent (?:run|undo)\b[^\n]*\"[^\n]*)$", text, re.M)
    assert len(examples) >= 2
    for example in examples:
        try:
            args = build_parser().parse_args(shlex.split(example)[1:])
        except UsageError as error:
            pytest.fail(f"{example}: {error}")
        assert args.execute is not None


def test_every_setting_and_no_other_is_documented() -> None:
    table = re.findall(r"^\| `([a-z_]+)` \|", (DOCS / "config.md").read_text("utf-8"), re.M)
    assert table == list(SETTINGS)


def test_the_exit_codes_are_the_same_everywhere() -> None:
    in_help = re.findall(r"^  (\d+) ", build_parser().format_help(), re.M)
    on_page = re.findall(r"^\| (\d+) \|", (DOCS / "cli.md").read_text("utf-8"), re.M)
    assert in_help == on_page
    in_readme = re.findall(r"^\| (\d+) \|", (ROOT / "README.md").read_text("utf-8"), re.M)
    assert set(in_readme) <= set(in_help)
    assert {"0", "1", "2", "3", "4", "5", "130"} <= set(in_readme)


def test_the_events_that_are_named_exist() -> None:
    text = (DOCS / "cli.md").read_text("utf-8")
    assert {"turn_finished", "failed"} <= set(re.findall(r"`([a-z_]+)`", text)) & set(TYPES)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text)
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (page.parent / target).exists()] == []


def test_the_modules_that_the_architecture_names_exist() -> None:
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([a-z_/]+(?:\.py|/))`", text)) - {"tests/unit/test_imports.py"}
    assert len(named) > 20
    package = ROOT / "localagent"
    assert [name for name in sorted(named) if not (package / name).exists()] == []


def test_no_file_names_a_package_indexs_host() -> None:
    """In pieces, so that this file does not hold what it looks for."""
    hosts = ["pypi" + ".org", "python" + "hosted.org", "hugging" + "face.co", "conda" + ".io"]
    pattern = re.compile("|".join(re.escape(host) for host in hosts), re.I)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        timeout=60,
    )
    names = [n for n in listed.stdout.decode().split("\0") if n and (ROOT / n).is_file()]
    if not names:
        pytest.skip("not a git checkout")
    found = []
    for name in names:
        data = (ROOT / name).read_bytes()
        if pattern.search(data.decode("utf-8", "replace")):
            found.append(name)
    assert found == []
