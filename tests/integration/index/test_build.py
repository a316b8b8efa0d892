"""What is read first of a repository: what a task is most likely about."""

from __future__ import annotations

import os
from pathlib import Path

from localagent.index.build import changes
from localagent.workspace.workspace import Workspace


def test_code_comes_first_and_the_latest_of_it(tmp_path: Path) -> None:
    names = ("a/old.py", "a/new.py", "tests/test_a.py", "a.md", "a.json", "vendor/x/x.go")
    for age, name in enumerate(reversed(names)):  # the last ones are the newest on disk
        place = tmp_path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("x = 1\n")
        os.utime(place, ns=(10**18 - age, 10**18 - age))
    os.utime(tmp_path / "a/new.py", ns=(2 * 10**18, 2 * 10**18))
    read = [file.path for file in changes(Workspace.open(tmp_path), {}).changed]
    assert read == ["a/new.py", "a/old.py", "tests/test_a.py", "a.md", "a.json", "vendor/x/x.go"]
