"""The unit lane starts no process: an attempt to fails the test that makes it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

_STARTS = {"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.exec", "os.system"}
_running: list[str] = []


def _refuse(event: str, arguments: tuple[object, ...]) -> None:
    if _running and event in _STARTS:
        raise AssertionError(f"{_running[-1]} starts a process ({event} {arguments[:1]!r})")


sys.addaudithook(_refuse)  # stays for the whole run, and does nothing outside a unit test


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A unit test that hangs, say because it waits for a process, ends after a minute."""
    for item in items:  # of the whole run, whatever lane
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(60))


@pytest.fixture(autouse=True)
def no_process(request: pytest.FixtureRequest) -> Iterator[None]:
    """Refuse to start processes while a unit test runs."""
    _running.append(request.node.nodeid)
    yield
    _running.pop()
