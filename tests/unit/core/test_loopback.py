"""Which addresses count as the loopback interface."""

from __future__ import annotations

import pytest

from localagent.core.loopback import is_loopback


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "127.255.0.9", "::1", "::1%lo", "::ffff:127.0.0.1"]
)
def test_a_loopback_address(address: str) -> None:
    assert is_loopback(address)


@pytest.mark.parametrize(
    "address",
    ["", "localhost", "0.0.0.0", "128.0.0.1", "10.0.0.7", "::", "::2", "::ffff:10.0.0.1", "a\0b"],
)
def test_any_other_text(address: str) -> None:
    assert not is_loopback(address)
