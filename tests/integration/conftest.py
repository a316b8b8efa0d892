"""Fixtures of the integration lane: tests that start processes, sandboxes, terminals or servers."""

from __future__ import annotations

import pytest
from project_python import first_on_path
from sandbox_fixtures import (  # noqa: F401
    confining,
    look,
    new_sandbox,
    obstacles,
    plain,
    project,
    sandbox,
    shared_sandboxes,
    short,
    unshare,
    untouched,
)


@pytest.fixture(autouse=True)
def small_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands of tests find a Python with pytest alone."""
    monkeypatch.setenv("PATH", first_on_path())
