"""Shared fixtures: a home of its own for every test, and no network but loopback."""

from __future__ import annotations

import os
import shutil
import signal
import socket
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# A busy machine is no fault of the code under test.
settings.register_profile("localagent", deadline=None)
settings.load_profile("localagent")

DEFAULT_MODEL = "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"


def pytest_configure() -> None:
    """A run in a shell's background inherits ignored signals; the programs under test need them."""
    for name in ("SIGINT", "SIGHUP", "SIGTERM"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) == signal.SIG_IGN:
            default = signal.default_int_handler if name == "SIGINT" else signal.SIG_DFL
            signal.signal(number, default)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The real model's tests run one after another: two models at once are slower than one."""
    for item in items:
        if item.get_closest_marker("real_model"):
            item.add_marker(pytest.mark.xdist_group("model"))


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder, so that no test sees or changes the developer's own state."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(folder))
    for name in ("CONFIG", "DATA", "CACHE", "STATE"):
        monkeypatch.delenv(f"XDG_{name}_HOME", raising=False)
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(folder / ".gitconfig"))
    (folder / ".gitconfig").write_text(
        "[user]\nname = Test\nemail = test@localhost\n[init]\ndefaultBranch = main\n"
    )
    return folder


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse connections from the test process to anything but loopback and unix sockets."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            host = str(address[0])
            if not (host.startswith("127.") or host in ("::1", "localhost")):
                raise AssertionError(f"a test tried to reach {address!r}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture
def workspace_dir(tmp_path: Path) -> Path:
    """A small project without git: a module with a bug, and its tests."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "calc.py").write_text("def add(a, b):\n    return a - b\n")
    (folder / "calc_test.py").write_text(
        "from calc import add\n\n\ndef test_add():\n    assert add(2, 3) == 5\n\n\n"
        "def test_zero():\n    assert add(0, 0) == 0\n"
    )
    return folder


@pytest.fixture(scope="session")
def model_path() -> Path:
    """The default model's file, whatever other models stand beside it.

    `scripts/test` provides it, and names its folder in LOCALAGENT_TEST_MODEL_DIR.
    """
    path = Path(os.environ.get("LOCALAGENT_TEST_MODEL_DIR", "/nonexistent")) / DEFAULT_MODEL
    if not path.is_file():
        pytest.skip("the default model is not there; scripts/test provides it")
    return path


@pytest.fixture
def installed(home: Path, model_path: Path) -> Path:
    """The default model in the test's own home."""
    folder = home / ".local" / "share" / "localagent" / "models"
    folder.mkdir(parents=True)
    try:
        os.link(model_path, folder / DEFAULT_MODEL)
    except OSError:
        shutil.copy(model_path, folder / DEFAULT_MODEL)
    return folder
