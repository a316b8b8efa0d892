"""The unit lane starts no process: an attempt to fails the test that makes it.

The lane also runs as in FIPS mode: MD5 and SHA-1 raise, except where they secure nothing.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator
from functools import partial
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
def fips(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse MD5 and SHA-1, as OpenSSL does in FIPS mode."""
    real_new = hashlib.new

    def refuse(name: str) -> Callable[..., object]:
        def new(data: bytes = b"", *, usedforsecurity: bool = True) -> object:
            caller = sys._getframe(1).f_globals.get("__name__", "")
            if usedforsecurity and not caller.startswith("hypothesis"):  # it names its cache so
                raise ValueError(f"[digital envelope routines] unsupported: {name}")
            return real_new(name, data, usedforsecurity=False)

        return new

    refusals = {name: refuse(name) for name in ("md5", "sha1")}

    def new(name: str, data: bytes = b"", **options: bool) -> object:
        return refusals.get(name.lower(), partial(real_new, name))(data, **options)

    monkeypatch.setattr(hashlib, "new", new)
    for name, refusal in refusals.items():
        monkeypatch.setattr(hashlib, name, refusal)


@pytest.fixture(autouse=True)
def no_process(request: pytest.FixtureRequest) -> Iterator[None]:
    """Refuse to start processes while a unit test runs."""
    _running.append(request.node.nodeid)
    yield
    _running.pop()
