"""How many threads are used beside other programs."""

import os
import subprocess
import sys

from localagent.models.llamacpp.hardware import (
    PERIOD,
    ThreadGovernor,
    busy_seconds,
    process_seconds,
)


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


def test_the_kernel_counts_what_another_process_uses() -> None:
    busy, own = busy_seconds(), process_seconds()
    assert busy is not None
    burn = "import time\nwhile time.process_time() < 0.5: pass"
    subprocess.run([sys.executable, "-c", burn], check=True, env={**os.environ})
    after = busy_seconds()
    assert after is not None
    assert after - busy >= 0.4
    assert process_seconds() - own < 0.4
