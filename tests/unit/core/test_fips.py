"""FIPS mode: nothing that counts is hashed by MD5 or SHA-1, and the unit lane runs without them."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[3] / "localagent"
OLD = re.compile(r"hashlib\.(?:md5|sha1)\b|uuid[35]\(|[\"'](?:md5|sha1)[\"']")


def test_the_unit_lane_has_no_md5_and_no_sha1() -> None:
    for name in ("md5", "sha1"):
        with pytest.raises(ValueError, match="unsupported"):
            hashlib.new(name, b"x")
        with pytest.raises(ValueError, match="unsupported"):
            getattr(hashlib, name)(b"x")
    assert hashlib.new("sha1", b"", usedforsecurity=False).hexdigest().startswith("da39a3ee")


def test_old_hashes_are_used_only_where_they_secure_nothing() -> None:
    found = {}
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if OLD.search(text):
            found[path.relative_to(PACKAGE).as_posix()] = "usedforsecurity=False" in text
    assert found == {"workspace/git/adopt.py": True}  # git's object ids
