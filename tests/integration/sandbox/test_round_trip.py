"""Applying a snapshot's changes to a copy of the workspace gives exactly what the command saw."""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sandbox_fixtures import OVERLAY_AND_COPIES

from localagent.core.changes import Change, deletion
from localagent.sandbox.base import Command, Sandbox

pytestmark = [
    pytest.mark.sandbox,
    pytest.mark.skipif(os.name != "posix", reason="needs modes and links"),
]
NAMES = st.sampled_from(["a", "b", "c d", "é"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
MODES = st.sampled_from([0o644, 0o600, 0o755, 0o400])
STEPS = st.one_of(
    st.tuples(st.just("write"), PATHS, st.sampled_from(["", "x", "yy", "x" * 5000])),
    st.tuples(st.just("append"), PATHS, st.just("z")),
    st.tuples(st.just("remove"), PATHS, st.just("")),
    st.tuples(st.just("move"), PATHS, PATHS),
    st.tuples(st.just("mode"), PATHS, MODES),
    st.tuples(st.just("link"), PATHS, PATHS),
    st.tuples(st.just("hard"), PATHS, PATHS),
    st.tuples(st.just("folder"), PATHS, st.just("")),
    st.tuples(st.just("touch"), PATHS, st.just("")),
    st.tuples(st.just("again"), PATHS, st.just("")),
)
# Runs in the snapshot and, for the first tree, outside. Steps that cannot be done are left out.
WORKER = """
import os, shutil, sys
def do(kind, path, other):
    if kind in ("write", "append"):
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        open(path, "w" if kind == "write" else "a").write(other)
    elif kind == "remove":
        shutil.rmtree(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)
    elif kind == "move":
        shutil.move(path, other)
    elif kind == "mode":
        os.chmod(path, other | (0o700 if os.path.isdir(path) else 0))
    elif kind == "lock":
        os.chmod(path, other)
    elif kind == "link":
        os.symlink(other, path)
    elif kind == "hard":
        os.link(path, other)
    elif kind == "folder":
        os.makedirs(path)
    elif kind == "touch":
        os.utime(path)
    elif kind == "again":  # a folder made anew is opaque: nothing of the old one shows
        shutil.rmtree(path)
        os.mkdir(path)
        open(path + "/new", "w").write("n")
def work(steps):
    for step in steps:
        try:
            do(*step)
        except (OSError, shutil.Error):
            pass
"""
SHOW = """
import base64, json
found = []
for folder, names, files in os.walk("."):
    for name in names + files:
        path = os.path.join(folder, name)
        if os.path.islink(path):
            found.append([path, "link", os.readlink(path), 0])
        elif os.path.isdir(path):
            found.append([path, "dir", "", os.stat(path).st_mode & 0o777])
        else:
            data = base64.b64encode(open(path, "rb").read()).decode()
            found.append([path, "file", data, os.stat(path).st_mode & 0o777])
print(json.dumps(sorted(found)))
"""


def show(root: Path) -> str:
    """What SHOW prints of a folder."""
    output, here = io.StringIO(), Path.cwd()
    os.chdir(root)
    try:
        with contextlib.redirect_stdout(output):
            exec("import os\n" + SHOW, {})
    finally:
        os.chdir(here)
    return output.getvalue()


def apply(root: Path, changes: Sequence[Change]) -> None:
    """Links that go first, as nothing is meant below them; then deletions, children before parents;
    then the rest, parents before children; modes of folders last, as one may forbid the rest."""
    modes = {path: path.stat().st_mode for path in root.rglob("*") if is_folder(path)}
    for path, mode in modes.items():
        path.chmod(mode | 0o700)
    for change in changes:
        if (root / change.path).is_symlink():
            (root / change.path).unlink()
    for change in reversed(changes):
        path = root / change.path
        if change.kind == "absent" or path.is_symlink() or path.is_file():
            if path.is_symlink() or path.is_file():
                path.unlink()
            elif path.is_dir():
                path.rmdir()
    for change in changes:
        path = root / change.path
        if change.kind == "dir":
            path.mkdir(exist_ok=True)
            modes[path] = change.mode or 0o755
        elif change.kind == "symlink":
            if path.is_dir():
                path.rmdir()
            path.symlink_to(os.fsdecode(change.data))
        elif change.kind == "file":
            if path.is_dir():
                path.rmdir()
            path.write_bytes(change.data)
            path.chmod(0o644 if change.mode is None else change.mode)
    for path, mode in modes.items():
        if is_folder(path):
            path.chmod(mode)


def is_folder(path: Path) -> bool:
    """Whether it is one itself, not a link to one."""
    return path.is_dir() and not path.is_symlink()


def check(sandbox: Sandbox, first: list[object], steps: list[object]) -> None:
    scope: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as name:
        root, copy = Path(name, "root"), Path(name, "copy")
        root.mkdir()
        here = Path.cwd()
        os.chdir(root)
        try:
            exec(WORKER, scope)
            scope["work"](first)  # type: ignore[operator]
        finally:
            os.chdir(here)
        shutil.copytree(root, copy, symlinks=True)
        before = show(root)
        code = f"{WORKER}\nwork({steps!r})\n{SHOW}"
        with sandbox.open(root) as snapshot:
            done = snapshot.run(
                Command(f"{shlex.quote(sys.executable)} -I -S -c {shlex.quote(code)}", seconds=60.0)
            )
            assert done.exit_code == 0, done.output
            changes = snapshot.changes()
        assert show(root) == before
        paths = [change.path for change in changes]
        assert paths == sorted(set(paths))
        apply(copy, changes)
        assert show(copy) == done.output
        # The same changes, put into a fresh snapshot, give the same picture, and are its changes.
        with sandbox.open(root, changes) as snapshot:
            code = f"import os\n{SHOW}"
            again = snapshot.run(
                Command(f"{shlex.quote(sys.executable)} -I -S -c {shlex.quote(code)}", seconds=60.0)
            )
            assert again.output == done.output
            assert snapshot.changes() == changes


@pytest.fixture(params=OVERLAY_AND_COPIES)
def sandbox(request: pytest.FixtureRequest, shared_sandboxes: Callable[[str], Sandbox]) -> Sandbox:
    return shared_sandboxes(request.param)


RELAXED = settings(
    max_examples=15,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],  # each example takes real commands; no shrinking
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@RELAXED
@given(first=st.lists(STEPS, max_size=12), steps=st.lists(STEPS, max_size=12))
def test_round_trip(sandbox: Sandbox, first: list[object], steps: list[object]) -> None:
    check(sandbox, first, steps)


def test_a_folder_replaced_by_a_new_one(sandbox: Sandbox) -> None:
    first = [("write", "a/b/x", "1"), ("write", "a/y", "2")]
    check(sandbox, first, [("again", "a", "")])
    check(sandbox, first, [("remove", "a", ""), ("write", "a/y", "2")])
    check(sandbox, first, [("move", "a", "c d")])


def test_a_folder_within_a_new_one(sandbox: Sandbox) -> None:
    first = [("write", "a/b/x", "1"), ("write", "a/b/c d/y", "2")]
    check(sandbox, first, [("again", "a", ""), ("write", "a/b/é", "3")])
    check(sandbox, first, [("again", "a", ""), ("write", "a/b/c d/é", "3")])


def test_a_folder_in_the_place_of_a_link(sandbox: Sandbox) -> None:
    first = [("write", "b/x", "1"), ("link", "a", "b"), ("link", "c d", "c d")]
    new = [("remove", "a", ""), ("write", "a/x", "1"), ("remove", "c d", "")]
    check(sandbox, first, [*new, ("write", "c d/x", "1")])


def test_a_link_in_the_place_of_a_folder(sandbox: Sandbox) -> None:
    first = [("write", "a/x", "1"), ("write", "b/x", "2"), ("write", "c d/x", "3")]
    for target in ("b", "a", "a/x"):  # another folder, and links in circles
        check(sandbox, first, [("remove", "a", ""), ("link", "a", target), ("remove", "c d", "")])


def test_what_its_owner_may_not_write(sandbox: Sandbox) -> None:
    first = [("write", "a", "1"), ("mode", "a", 0o400), ("write", "b/x", "2")]
    locked = [("mode", "b/x", 0o400), ("lock", "b", 0o500)]
    check(sandbox, first, [("write", "é", "3"), ("move", "é", "a"), *locked])
    check(sandbox, [*first, *locked], [("lock", "b", 0o700), ("write", "b/a", "4"), locked[1]])


def test_deleting_more_than_there_is_harms_nothing(sandbox: Sandbox, project: Path) -> None:
    with sandbox.open(project, [deletion("no/such"), deletion("a.txt/below")]) as snapshot:
        assert snapshot.run(Command("cat a.txt")).output == "a\n"
        assert snapshot.changes() == ()
