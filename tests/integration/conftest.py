"""Fixtures of the integration lane: tests that start processes, sandboxes, terminals or servers."""

from __future__ import annotations

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
