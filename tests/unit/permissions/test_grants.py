"""What the user had remembered: exactly that, for that workspace, and nothing a rule denies."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from localagent.core.errors import UsageError
from localagent.permissions.grants import Grant, SessionGate, WorkspaceGrants, exactly
from localagent.permissions.rules import Permissions, Rule

NOBODY: frozenset[str] = frozenset()


def gate(
    workspace: Path,
    rules: list[Rule] | None = None,
    project: list[Rule] | None = None,
    **flags: object,
) -> SessionGate:
    grants = WorkspaceGrants(workspace)
    permissions = Permissions(rules or [], project or [], grants=grants)
    return SessionGate(permissions, grants, **{"confined": True, **flags})


def action(one: SessionGate, effect: str, subject: str) -> str:
    tool = {"read": "read", "write": "edit", "execute": "shell"}[effect]
    return one.decide(tool, effect, subject, NOBODY).action


def test_a_command_is_remembered_and_nothing_like_it(tmp_path: Path) -> None:
    one = gate(tmp_path)
    one.remember("execute", "make  -j2 && ./run 'a b'")
    assert [str(g) for g in one.grants.all()] == ["run make  -j2", "run ./run 'a b'"]
    for line in ("make  -j2 && ./run 'a b'", "make  -j2", "./run 'a b'; make  -j2"):
        assert action(one, "execute", line) == "allow", line
    for line in (
        "make",
        "make -j2",
        "make  -j2 install",
        "./run a b",
        './run "a b"',
        "make  -j2 &",
    ):
        expected = "allow" if line == "make  -j2 &" else "ask"
        assert action(one, "execute", line) == expected, line
    assert action(one, "execute", "make  -j2; rm x") == "ask"
    assert action(one, "execute", "make  -j2 > x") == "ask"


@pytest.mark.parametrize(
    "line", ["if true; then rm x; fi", "echo x > y", "(make; make)", "sh -c make", "rm 'x"]
)
def test_what_is_not_understood_cannot_be_remembered(tmp_path: Path, line: str) -> None:
    one = gate(tmp_path)
    assert one.rememberable("execute", line) == ()
    one.remember("execute", line)
    assert one.grants.all() == ()
    assert action(one, "execute", line) == "ask"


def test_quotes_count() -> None:
    assert exactly("execute", "rm '*'") != exactly("execute", "rm *")
    assert exactly("execute", "ls $(cat x) | wc") == (
        Grant("execute", "ls $(cat x)"),
        Grant("execute", "wc"),
    )


def test_a_path_is_remembered_for_what_was_asked(tmp_path: Path) -> None:
    one = gate(tmp_path)
    one.remember("read", "./.env")
    assert action(one, "read", ".env") == "allow"
    assert action(one, "write", ".env") == "deny"
    one.remember("write", "a.py")
    assert action(one, "write", "sub/../a.py") == "allow"
    assert action(one, "write", "b.py") == "ask"


def test_it_holds_in_another_session_of_that_workspace_alone(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    gate(here).remember("execute", "make")
    assert action(gate(here), "execute", "make") == "allow"
    assert action(gate(there), "execute", "make") == "ask"


def test_rules_that_deny_and_the_projects_rules_hold(tmp_path: Path) -> None:
    gate(tmp_path).remember("execute", "make")
    assert action(gate(tmp_path, [Rule("shell", "make*", "deny")]), "execute", "make") == "deny"
    assert action(gate(tmp_path, [], [Rule("shell", "*", "ask")]), "execute", "make") == "ask"
    assert action(gate(tmp_path, [Rule("shell", "*", "ask")]), "execute", "make") == "allow"
    assert action(gate(tmp_path, mode="plan"), "execute", "make") == "deny"


def test_without_a_sandbox_nothing_is_remembered(tmp_path: Path) -> None:
    gate(tmp_path).remember("execute", "make")
    bare = gate(tmp_path, confined=False)
    assert action(bare, "execute", "make") == "ask"
    assert bare.rememberable("execute", "ls") == ()


def test_forgetting(tmp_path: Path) -> None:
    one, other = gate(tmp_path), WorkspaceGrants(tmp_path)
    for line in ("make", "ls -l", "date"):
        one.remember("execute", line)
    assert [g.subject for g in other.forget("2")] == ["ls -l"]
    assert [g.subject for g in other.forget("run date")] == ["date"]
    assert action(one, "execute", "date") == "ask"  # also in a session that runs
    with pytest.raises(UsageError, match="'4' is not remembered"):
        other.forget("4")
    other.forget("all")
    assert one.grants.all() == ()
    with pytest.raises(UsageError) as caught:
        other.forget("1")
    assert caught.value.hint == "nothing is remembered"


def test_the_file_is_the_users_own_and_outside_of_the_workspace(tmp_path: Path, home: Path) -> None:
    gate(tmp_path).remember("execute", "make")
    (file,) = (home / ".config/localagent/grants").glob("*.json")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff", b"[]", b'{"workspace": 1}', b'{"workspace": "W", "grants": [{"effect": "x"}]}'],
)
def test_a_damaged_file_allows_nothing(tmp_path: Path, home: Path, content: bytes) -> None:
    one = gate(tmp_path)
    one.remember("execute", "make")
    (file,) = (home / ".config/localagent/grants").glob("*.json")
    file.write_bytes(content.replace(b'"W"', f'"{os.path.realpath(tmp_path)}"'.encode()))
    assert action(one, "execute", "make") == "ask"
    one.remember("execute", "ls")
    assert [g.subject for g in one.grants.all()] == ["ls"]


# Modes


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("plan", {"a.py": "deny", ".env": "deny", "make": "deny", "read .env": "ask"}),
        ("ask", {"a.py": "ask", ".env": "deny", "make": "ask", "read .env": "ask"}),
        ("auto-edit", {"a.py": "allow", ".env": "deny", "make": "ask", "read .env": "ask"}),
        ("auto", {"a.py": "allow", ".env": "deny", "make": "allow", "read .env": "deny"}),
    ],
)
def test_what_a_mode_allows(tmp_path: Path, mode: str, expected: dict[str, str]) -> None:
    one = gate(tmp_path, mode=mode)
    assert action(one, "write", "a.py") == expected["a.py"]
    assert action(one, "write", ".env") == expected[".env"]
    assert action(one, "execute", "make") == expected["make"]
    assert action(one, "read", ".env") == expected["read .env"]
    assert action(one, "read", "a.py") == "allow"
    assert action(one, "write", ".git/config") == "deny"
    assert one.decide("check", "execute", "make test", NOBODY).action == "allow"


def test_rules_stand_above_modes(tmp_path: Path) -> None:
    rules = [Rule("edit", "docs/**", "deny"), Rule("edit", "src/**", "ask")]
    for mode, asked in (("auto-edit", "ask"), ("auto", "allow")):
        one = gate(tmp_path, rules, mode=mode)
        assert action(one, "write", "docs/a.md") == "deny"
        assert action(one, "write", "src/a.py") == asked
    narrow = gate(tmp_path, [], [Rule("*", "*", "ask")], mode="auto")
    assert action(narrow, "write", "a.py") == "ask"
    assert action(narrow, "execute", "make") == "ask"


def test_auto_needs_a_sandbox(tmp_path: Path) -> None:
    bare = gate(tmp_path, confined=False)
    assert bare.possible() == ("plan", "ask", "auto-edit")
    with pytest.raises(UsageError, match="needs a sandbox"):
        bare.set_mode("auto")
    assert bare.mode == "ask"
    with pytest.raises(UsageError, match="unknown mode 'yolo'"):
        bare.set_mode("yolo")


def test_plan_mode_is_not_lifted_by_yes(tmp_path: Path) -> None:
    one = gate(tmp_path, mode="plan", yes=True)
    assert action(one, "write", "a.py") == "deny"
    assert action(one, "execute", "make") == "deny"
