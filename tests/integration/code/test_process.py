"""A process beside this one: what dies, hangs or prints there costs one answer."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from localagent.code import cache
from localagent.code import process as module
from localagent.code.mentions import mentions
from localagent.code.process import Child, ChildDied


def test_a_call_is_answered_and_what_it_raises_is_raised() -> None:
    child = Child()
    try:
        assert child.call(len, "abc") == 3
        pid = child.call(os.getpid)
        assert pid != os.getpid()
        with pytest.raises(ZeroDivisionError):
            child.call(divmod, 1, 0)
        assert child.call(os.getpid) == pid
    finally:
        child.close()


def test_it_starts_again_after_it_died() -> None:
    child = Child()
    try:
        with pytest.raises(ChildDied):
            child.call(os.abort)
        with pytest.raises(ChildDied):
            child.call(os._exit, 0)
        assert child.call(len, "abc") == 3
    finally:
        child.close()


def test_one_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.3)
    child = Child()
    try:
        with pytest.raises(ChildDied):
            child.call(time.sleep, 600)
    finally:
        child.close()


def test_a_machine_without_threads_is_an_error_of_the_system(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def start(_timer: threading.Timer) -> None:
        raise RuntimeError("can't start new thread")

    child = Child()
    try:
        assert child.call(len, "abc") == 3
        with monkeypatch.context() as patch:
            patch.setattr(threading.Timer, "start", start)
            with pytest.raises(OSError, match="can't start new thread"):
                child.call(len, "abc")
        assert child.call(len, "abcd") == 4
    finally:
        child.close()


def test_what_it_prints_is_no_answer() -> None:
    child = Child()
    try:
        assert child.call(os.write, 1, b"noise") == 5
        assert child.call(print, "noise") is None
        assert child.call(len, "abc") == 3
    finally:
        child.close()


def test_code_of_the_folder_it_starts_in_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("pickle", "localagent", "threading", "tree_sitter", "tree_sitter_go"):
        (tmp_path / f"{name}.py").write_text("open('run', 'w').close()\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f":.:{os.environ.get('PYTHONPATH', '')}")
    child = Child()
    try:
        assert len(child.call(mentions, "go", b"package a\nfunc B() { B() }\n", "B")) == 2
        assert str(tmp_path) not in child.call(eval, "__import__('sys').path")
    finally:
        child.close()
    assert not (tmp_path / "run").exists()


def test_a_program_without_a_guard_does_not_start_itself_again(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    for n in range(450):
        (tmp_path / "work" / f"m{n}.py").write_text(f"def f{n}(): pass\n")
    script = tmp_path / "program.py"
    script.write_text(
        "print('started', flush=True)\n"
        "from pathlib import Path\nfrom localagent.index.build import bring_up_to_date\n"
        "from localagent.workspace.workspace import Workspace\n"
        f"store, done = bring_up_to_date(Path({str(tmp_path / 'c' / 'i.sqlite')!r}),"
        f" Workspace.open({str(tmp_path / 'work')!r}), processes=2)\n"
        "print(done.read)\n"
    )
    ran = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120)
    assert ran.stdout.split() == ["started", "450"], ran.stderr


def test_a_parser_that_dies_gives_nothing_and_the_next_file_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cache._structure.cache_clear()
    assert cache.structure_of("a.go", b"package a\nfunc A() {}\n") is not None
    process = cache._child._process
    assert process is not None
    process.kill()
    process.wait()
    found = cache.structure_of("b.go", b"package a\nfunc B() {}\n")
    assert found is not None and [d.name for d in found.definitions] == ["B"]
    with monkeypatch.context() as patched:
        patched.setattr(cache, "structure", os.abort)
        cache._structure.cache_clear()
        assert cache._called(os.abort) is None
    assert cache.faults_of("c.rs", b"fn x( {\n")[0].line == 1


def test_it_is_started_ahead_and_imports_a_module_then() -> None:
    child = Child(0, "wave")
    try:
        child.start()
        started = child._process
        assert child.call(eval, "'wave' in __import__('sys').modules")
        assert child._process is started
    finally:
        child.close()
