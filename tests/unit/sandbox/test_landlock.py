"""Rights that each version of Landlock knows, and signals that the broker lets through."""

from __future__ import annotations

import errno
import os
import sys

import pytest

if sys.platform != "linux":
    pytest.skip("Landlock is Linux's", allow_module_level=True)

from localagent.linux import procfs
from localagent.linux.landlock import rights_of
from localagent.sandbox.launcher import syscall_broker


@pytest.mark.parametrize(
    ("version", "bits"), [(1, 13), (2, 14), (3, 15), (4, 15), (5, 16), (6, 16), (7, 16)]
)
def test_a_kernel_gets_only_rights_that_it_knows(version: int, bits: int) -> None:
    assert rights_of(version) == (1 << bits) - 1


@pytest.mark.parametrize(
    ("target", "allowed"), [(0, True), (41, True), (40, False), (1, False), (-1, False)]
)
def test_signals_reach_only_processes_of_the_command(
    target: int, allowed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(procfs, "descendants", lambda root: [root, 41, 42])
    with pytest.raises((syscall_broker._Continue, OSError)) as raised:
        syscall_broker._check_signal(target)
    assert (raised.type is syscall_broker._Continue) == allowed
    assert allowed or getattr(raised.value, "errno", 0) == errno.EPERM


def test_signals_reach_only_groups_of_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(procfs, "descendants", lambda root: [root, 41])
    monkeypatch.setattr(os, "getpgid", lambda pid: 40)
    with pytest.raises(syscall_broker._Continue):
        syscall_broker._check_signal(-40)
    with pytest.raises(OSError, match="another program"):
        syscall_broker._check_signal(-77)
