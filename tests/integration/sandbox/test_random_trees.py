"""A few random trees in each kind of sandbox: applied as seen, reported, undone and recovered."""

from __future__ import annotations

from pathlib import Path

import pytest
from sandbox_fixtures import NewSandbox
from tree_fuzz import one_tree

from localagent.sandbox.select import CONFINING

pytestmark = pytest.mark.sandbox


@pytest.mark.parametrize("kind", CONFINING)
def test_random_trees(kind: str, new_sandbox: NewSandbox, tmp_path: Path, home: Path) -> None:
    sandbox = new_sandbox(kind)
    outcomes = []
    for seed in (*range(5), 11021, 31071):  # with a pipe and a file in place of others
        (folder := tmp_path / str(seed)).mkdir()
        outcomes.append(one_tree(sandbox, folder, seed))
    assert "done" in outcomes
