"""What /proc says of refused packets, memory and processes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("/proc is Linux's", allow_module_level=True)

from localagent.linux import procfs

SNMP = "Ip: Forwarding OutNoRoutes\nIp: 1 {}\nIcmp: InMsgs\nIcmp: 9\n"
SNMP6 = "Ip6InReceives 3\nIp6OutNoRoutes {}\n"


def write(folder: Path, ipv4: int, ipv6: int) -> None:
    (folder / "snmp").write_text(SNMP.format(ipv4))
    (folder / "snmp6").write_text(SNMP6.format(ipv6))


def test_packets_without_a_route_are_counted_from_the_start(tmp_path: Path) -> None:
    write(tmp_path, 2, 3)
    counter = procfs.NoRouteCounter(str(tmp_path))
    assert counter.count() == 0
    write(tmp_path, 4, 4)
    assert counter.count() == 3


def test_a_namespace_without_counters_counts_nothing(tmp_path: Path) -> None:
    assert procfs.NoRouteCounter(str(tmp_path / "gone")).count() == 0
    (tmp_path / "snmp").write_text("Ip: Forwarding\n")
    assert procfs.NoRouteCounter(str(tmp_path)).count() == 0


def test_descriptors_are_read_anew(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"1" * 100_000)
    descriptor = os.open(file, os.O_RDONLY)
    assert len(procfs.read_descriptor(descriptor)) == 100_000
    file.write_bytes(b"2")
    assert procfs.read_descriptor(descriptor) == b"2"
    os.close(descriptor)


def test_this_process_and_this_machine_have_memory() -> None:
    assert procfs.private_memory(os.getpid()) > 1 << 20
    assert procfs.private_memory(1 << 30) == 0
    assert (procfs.available_memory() or 0) > 1 << 20


def test_descendants_include_the_root_and_tasks_do_not() -> None:
    assert os.getpid() in procfs.descendants(os.getpid())
    assert procfs.count_tasks(os.getpid()) >= 0
    assert procfs.descendants(1 << 30) == []


def test_children_are_found_without_the_kernels_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(procfs, "_HAS_CHILDREN_FILE", False)
    assert os.getpid() in procfs.descendants(os.getppid())
