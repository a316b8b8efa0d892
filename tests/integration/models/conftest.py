"""Fixtures for the lock and the store."""

from __future__ import annotations

from model_fixtures import entry, index, make_wheels, model_bytes  # noqa: F401
