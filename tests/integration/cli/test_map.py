"""`localagent map`, as a user runs it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from command_line import run_in


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    for name, text in {
        "shop/cart.py": "class Cart:\n    def add_item(self, item):\n        pass\n",
        "shop/rare.py": "def seldom_used():\n    return 1\n",
        "shop/a.py": "from shop.cart import Cart\n\ndef f_one():\n    return Cart().add_item(1)\n",
        "shop/b.py": "from shop.cart import Cart\n\ndef f_two():\n    return Cart().add_item(2)\n",
        "tests/test_cart.py": "def test_add_item():\n    Cart().add_item(1)\n",
        "notes.txt": "Cart add_item\n",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def outline(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return run_in(project, "map", *words)


def test_what_is_used_most_comes_first_and_tests_last(project: Path) -> None:
    done = outline(project)
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "shop/cart.py",
        "     1  class Cart",
        "     2    def add_item(self, item)",
        "shop/a.py",
        "     3  def f_one()",
        "shop/b.py",
        "     3  def f_two()",
        "shop/rare.py",
        "     1  def seldom_used()",
        "tests/test_cart.py",
        "     1  def test_add_item()",
    ]


def test_a_folder_a_file_and_a_limit(project: Path) -> None:
    assert "tests/" not in outline(project, "shop").stdout
    assert outline(project, "shop/rare.py").stdout.startswith("shop/rare.py\n")
    assert outline(project, "--limit", "1").stdout.endswith(
        "… 4 more files; use --limit, or name a folder\n"
    )
    (first, *_) = outline(project, "--json").stdout.splitlines()
    found = json.loads(first)
    assert found["path"] == "shop/cart.py"
    assert [d["name"] for d in found["definitions"]] == ["Cart", "Cart.add_item"]


def test_a_long_file_is_cut_in_a_folder_and_whole_on_its_own(project: Path) -> None:
    text = "".join(f"def function_{n}():\n    pass\n\n\n" for n in range(30))
    (project / "shop" / "long.py").write_text(text)
    assert "… 22 more" in outline(project, "shop").stdout
    assert len(outline(project, "shop/long.py").stdout.splitlines()) == 31


def test_nothing_and_mistakes(project: Path) -> None:
    assert outline(project, "notes.txt").stdout == "no definitions were found\n"
    assert outline(project, "notes.txt").returncode == 1
    done = outline(project, "gone")
    assert done.returncode == 2 and "there is no 'gone'" in done.stderr
    assert outline(project, "../..").returncode == 3
