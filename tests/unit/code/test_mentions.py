"""Where a name stands, and what an edit breaks."""

from __future__ import annotations

import pytest

from localagent.code.languages import LANGUAGES
from localagent.code.mentions import mentions
from localagent.code.parser import faults


def roles(language: str, text: str, name: str) -> list[tuple[int, str]]:
    return [(m.line, m.role) for m in mentions(language, text.encode(), name)]


def test_roles() -> None:
    text = "from a import add\n# add it\ndef add(x):\n    return 'add' + add(x) + self.add\n"
    assert roles("python", text, "add") == [
        (1, "import"), (3, "definition"), (4, "call"), (4, "mention"),
    ]  # fmt: skip
    text = 'package a\n/* Add */\nfunc Add() { s := "Add"; Add(); y := Add; Added() }\n'
    assert roles("go", text, "Add") == [(3, "definition"), (3, "call"), (3, "mention")]
    assert roles("javascript", "x = `a add ${add(1)}`;\n", "add") == [(1, "call")]
    assert roles("ruby", "def empty?; end\nempty?\n", "empty?")[0] == (1, "definition")
    assert roles("markdown", "# add\n", "add") == []


def test_columns_count_bytes() -> None:
    found = mentions("python", "x = 'é'; add(1)\n".encode(), "add")
    assert [(m.line, m.column) for m in found] == [(1, 10)]


BROKEN = {
    "go": ("func A() {\n\treturn\n}\n", "func A() {\n\treturn (\n}\n"),
    "javascript": ("const a = (b) => {\n  c();\n};\n", "const a = (b) => {\n  c(;\n};\n"),
    "rust": ("fn a() {\n    b();\n}\n", "fn a() {\n    b()\n"),
    "c": ("int a(void)\n{\n  return 1;\n}\n", "int a(void)\n{\n  return 1\n}\n"),
    "java": ("class A {\n  int b() { return 1; }\n}\n", "class A {\n  int b( { return 1; }\n}\n"),
    "ruby": ("def a\n  b(1)\nend\n", "def a\n  b(1\nend\n"),
}


@pytest.mark.parametrize("language", BROKEN)
def test_what_does_not_parse_is_found(language: str) -> None:
    good, bad = BROKEN[language]
    assert faults(language, good.encode()) == []
    found = faults(language, bad.encode())
    assert found and 1 <= found[0].line <= bad.count("\n") + 1


@pytest.mark.parametrize("language", [one.name for one in LANGUAGES.values() if one.grammar])
def test_anything_has_bounded_faults(language: str) -> None:
    assert len(faults(language, b")]} <? ' \" " * 2000)) <= 200
