"""Patterns of repositories are matched in a bounded time, and match what git's do."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pathspec import GitIgnoreSpec

from localagent.permissions.rules import command_matches
from localagent.workspace.gitignore import path_matches


@given(st.text("ab*?/[]!", min_size=1, max_size=9), st.text("ab/", min_size=1, max_size=9))
def test_paths_match_as_without_the_bound(pattern: str, path: str) -> None:
    path = "/".join(filter(None, path.split("/"))) or "a"
    try:
        plain = GitIgnoreSpec.from_lines(["\\" + pattern if pattern[0] == "!" else pattern])
    except ValueError:
        return
    if pattern.count("**") <= 3:
        assert path_matches(pattern, path) == plain.match_file(path)


@given(st.text("ab* ", min_size=1, max_size=9), st.text("ab", min_size=1, max_size=12))
def test_commands_match_as_without_the_bound(pattern: str, line: str) -> None:
    import re

    words = " ".join(pattern.split())
    body = ".*".join(re.escape(part) for part in words.removesuffix(" *").split("*"))
    plain = re.compile(body + (r"(?: .*)?" if words.endswith(" *") else ""))
    if words and words != "*":
        assert command_matches(pattern, line, every=True) == bool(plain.fullmatch(line))


@pytest.mark.parametrize(
    "pattern",
    ["*a" * 25 + "*b", "**/" * 12 + "*a" * 12 + "b", "?*" * 30 + "b", "[a-c]*" * 30 + "[/]b"],
)
def test_a_repository_cannot_make_localagent_hang(pattern: str) -> None:
    start = time.monotonic()
    path_matches(pattern, "a" * 200)
    path_matches(pattern, "/".join("a" * 100))
    command_matches(pattern, "a" * 400, every=True)
    command_matches(pattern, " ".join("a" * 200), every=False)
    assert time.monotonic() - start < 5
