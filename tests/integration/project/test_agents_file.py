"""The text of an AGENTS.md: what is found in files, and what is left out where it is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from localagent.code.symbols import Symbol
from localagent.project.agents_file import agents_file, conventions
from localagent.project.build_commands import build_commands


def project(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def commands(root: Path) -> dict[str, str]:
    names = sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file())
    return build_commands(names, lambda path: (root / path).read_text())


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (
            {"Makefile": "X := 1\nbuild: a\n\tcc a\ntest:\n\t./t\nfmt:\n\tx\n", "test_a.py": ""},
            {"build": "make build", "test": "make test", "format": "make fmt"},
        ),
        (
            {"package.json": '{"scripts": {"test": "vitest", "lint": "eslint ."}}'},
            {"test": "npm run test", "lint": "npm run lint"},
        ),
        (
            {"package.json": '{"scripts": {"test": "vitest"}}', "pnpm-lock.yaml": ""},
            {"test": "pnpm run test"},
        ),
        (
            {"package.json": '{"scripts": {"test": "echo \\"no test specified\\" && exit 1"}}'},
            {},
        ),
        (
            {"pyproject.toml": "[tool.ruff]\n[tool.mypy]\nstrict = true\n", "tests/test_a.py": ""},
            {
                "test": "python -m pytest -q",
                "lint": "ruff check .",
                "format": "ruff format .",
                "types": "mypy",
            },
        ),
        (
            {"scripts/test": "#!/bin/sh\n", "scripts/build.sh": "", "pyproject.toml": ""},
            {"build": "scripts/build.sh", "test": "scripts/test"},
        ),
        ({"go.mod": "module x\n"}, None),
        ({"Cargo.toml": "[package]\n"}, None),
        ({"package.json": "not json", "pyproject.toml": "not = = toml"}, {}),
        ({"notes.txt": "hello"}, {}),
    ],
)
def test_the_commands_that_a_project_names(
    tmp_path: Path, files: dict[str, str], expected: dict[str, str] | None
) -> None:
    found = commands(project(tmp_path, files))
    if expected is None:
        assert {"build", "test", "lint", "format"} <= set(found)
    else:
        assert found == expected


def test_conventions_are_named_only_where_files_agree() -> None:
    tabs = {f"a{n}.go": "package a\n\nfunc F() {\n\treturn\n}\n" for n in range(10)}
    mixed = {f"b{n}.py": f"def f():\n{' ' * (2 + n % 2 * 2)}return 1\n" for n in range(10)}
    assert "Indentation: tabs." in conventions(sorted(tabs), tabs.__getitem__)
    assert not [line for line in conventions(sorted(mixed), mixed.__getitem__) if "Indent" in line]
    quoted = {"c.py": "\n".join(f"x{n} = 'text'" for n in range(30))}
    assert "Strings in Python: single quotes." in conventions(["c.py"], quoted.__getitem__)


def test_the_whole_text() -> None:
    files = {
        "pyproject.toml": "[tool.ruff]\nline-length = 88\n",
        "shop/cart.py": "class Cart:\n    pass\n",
        "shop/price.py": "def total(items):\n    return sum(items)\n",
        "tests/test_cart.py": "import pytest\n",
        "vendor/lib/x.py": "x = 1\n",
        "docs/a.md": "# A\n",
    }
    symbols = [
        Symbol("Cart", "class", "shop/cart.py", 1, 2, "class Cart"),
        Symbol("_own", "function", "shop/cart.py", 3, 4, "def _own()"),
    ]
    text = agents_file("shop", sorted(files), files.__getitem__, [("shop/cart.py", symbols)])
    assert text == (
        "# shop\n\n## Commands\n\n- test: `python -m pytest -q`\n- lint: `ruff check .`\n"
        "- format: `ruff format .`\n\n## Layout\n\n- `shop/`: Python (2 files)\n"
        "- `docs/`: documents (1 file)\n- `tests/`: tests (1 file)\n"
        "- `vendor/`: copies of other projects (1 file)\n- `shop/cart.py`: `Cart`\n\n"
        "## Conventions\n\n- Languages: Python.\n- Indentation: 4 spaces.\n"
        "- Lines: at most 88 characters.\n"
        "- Formatting: ruff, by the settings in the repository.\n"
        "- Tests: 1 file in tests/ with pytest.\n"
    )


def test_a_folder_with_nothing_in_it_gives_its_name_alone() -> None:
    assert agents_file("empty", [], lambda _path: "", []) == "# empty\n"
