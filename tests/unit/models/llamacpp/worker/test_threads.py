"""How many threads are used beside other programs."""

import os
from types import SimpleNamespace

import psutil
import pytest

from localagent.models.llamacpp import hardware
from localagent.models.llamacpp.hardware import PERIOD, ThreadGovernor, busy_seconds


class Machine:
    """A clock, and processors of which others and the worker use a part."""

    def __init__(self) -> None:
        self.now = self.used = self.own = 0.0

    def run(self, others: float, own: float, seconds: float = 1.0) -> None:
        self.now += seconds
        self.own += own * seconds
        self.used += (own + others) * seconds

    def governor(self, most: int = 4, cores: int = 4) -> ThreadGovernor:
        return ThreadGovernor(
            most, cores, busy=lambda: self.used, used=lambda: self.own, clock=lambda: self.now
        )


def test_an_idle_machine_is_used_whole_and_a_busy_one_left_to_others() -> None:
    machine = Machine()
    threads = machine.governor()
    assert threads() == 4
    for others, expected in ((0.1, 4), (0.9, 3), (2.0, 2), (6.0, 1), (0.0, 4)):
        machine.run(others, own=min(4.0, 4 - others))
        assert threads() == expected


def test_a_look_is_taken_only_so_often() -> None:
    machine = Machine()
    threads = machine.governor()
    threads()
    machine.run(3.0, 1.0, PERIOD / 2)
    assert threads() == 4
    machine.run(3.0, 1.0, PERIOD / 2)
    assert threads() == 1


def test_no_more_threads_than_wanted_and_one_at_least() -> None:
    machine = Machine()
    threads = machine.governor(most=2)
    threads()
    machine.run(1.0, 2.0)
    assert threads() == 2
    machine.run(9.0, 2.0)
    assert threads() == 1


def test_where_the_system_does_not_tell_all_threads_are_used() -> None:
    assert ThreadGovernor(3, busy=lambda: None)() == 3


@pytest.mark.parametrize(("own_nice", "seconds"), [(0, 21.0), (5, 61.0)])
def test_programs_with_a_nice_value_leave_the_core_to_a_worker_without(
    monkeypatch: pytest.MonkeyPatch, own_nice: int, seconds: float
) -> None:
    row = {"user": 15.0, "nice": 40.0, "system": 6.0, "idle": 300.0, "iowait": 9.0}
    processor = SimpleNamespace(_asdict=lambda: row)
    monkeypatch.setattr(psutil, "cpu_times", lambda percpu: [processor])
    monkeypatch.setattr(hardware, "processors", lambda: [0])
    monkeypatch.setattr(os, "nice", lambda increment: own_nice)
    assert busy_seconds() == seconds
