"""A repository with everything at once that is odd: what can be found in it is found."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from localagent.index.build import ALONE, bring_up_to_date
from localagent.index.disk import DiskIndex
from localagent.workspace.workspace import Workspace

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sparse files, names of any bytes")

HUGE = 2 << 30
SMALL = 3 * ALONE  # so many that several processes read


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "work"
    for number in range(SMALL):
        place = root / f"part{number % 20}" / f"small{number}.py"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(f"def small_{number}(): pass\n")
    with (root / "enormous.py").open("wb") as file:  # sparse: it takes no room
        file.write(b"def inside_it(): pass\n")
        file.truncate(HUGE)
    (root / "part1" / "loop").symlink_to(root)
    (root / "circle").symlink_to("circle")
    Path(os.fsdecode(os.fsencode(root) + b"/caf\xe9.py")).write_text("def savanna(): pass\n")
    return root


@pytest.fixture
def changing(root: Path) -> Iterator[Path]:
    """A file that is written again and again until the test ends; first it is there."""
    place, over = root / "changing.py", threading.Event()
    place.write_text("")

    def write() -> None:
        number = 0
        while not over.is_set():
            number += 1
            place.write_text(f"def changing_{number}(): pass\n" * (number % 300 + 1))

    writer = threading.Thread(target=write)
    writer.start()
    yield place
    over.set()
    writer.join()


def test_it_is_indexed_while_a_file_changes(root: Path, changing: Path, tmp_path: Path) -> None:
    file = tmp_path / "cache" / "index.sqlite"
    store, summary = bring_up_to_date(file, Workspace.open(root), processes=2)
    store.close()
    assert summary.read == SMALL + 3
    with DiskIndex(Workspace.open(root), file) as index:
        assert not [path for path in index.files() if "loop" in path or "circle" in path]
        assert index.search("small_1111")[0].path.endswith("/small1111.py")
        assert os.fsencode(index.search("savanna")[0].path) == b"caf\xe9.py"
        assert [hit.path for hit in index.search("enormous.py")][:1] == ["enormous.py"]
        assert "enormous.py" not in [hit.path for hit in index.search("inside_it")]


def test_what_it_is_in_the_end_is_found(root: Path, tmp_path: Path) -> None:
    file, place = tmp_path / "cache" / "index.sqlite", root / "changing.py"
    workspace = Workspace.open(root)
    for number in range(5):  # of the same size, within a tick of the clock
        place.write_text(f"def version_{number}(): pass\n")
        with DiskIndex(workspace, file) as index:
            assert [hit.path for hit in index.search(f"version_{number}", 1)] == ["changing.py"]
