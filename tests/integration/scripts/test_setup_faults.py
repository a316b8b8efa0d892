"""What stops a setup is one clear line and what to do, and nothing else."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("arguments", [("demo", "--gpu", "cuda"), ("demo", "--gpu=vulkan")])
def test_a_gpu_without_a_compiler_is_not_begun(
    run: Run, checkout: Path, arguments: tuple[str, ...]
) -> None:
    """zig compiles for the processor only."""
    done = run(*arguments)
    assert done.returncode == 2
    lines = [line for line in done.stderr.splitlines() if "note:" not in line]
    assert lines[0] == "error: no C and C++ compiler found in PATH; llama.cpp has to be compiled"
    assert "apt install build-essential" in lines[1]
    assert len(lines) == 2
    assert done.stdout == ""
    assert not (checkout / ".venv").exists()


def test_a_compiler_that_does_not_run_is_named(run: Run, tools: Path) -> None:
    broken = script(tools / "c++", "echo no such file >&2; exit 1")
    (tools / "cc").symlink_to(broken)
    done = run("demo", CXX="c++")
    assert done.returncode == 2
    assert "the compiler" in done.stderr and "does not run: no such file" in done.stderr


def test_a_python_that_is_too_old_is_named(run: Run, tools: Path) -> None:
    (tools / "python3").unlink()
    script(tools / "python3", '[ "$1" = --version ] && echo Python 3.9.2 && exit 0; exit 1')
    done = run("demo")
    assert done.returncode == 2
    assert done.stderr.startswith(
        "localagent needs Python 3.11 or newer, and found Python 3.9.2.\n"
    )
    assert "apt install python3" in done.stderr


def test_no_python_at_all(run: Run, tools: Path) -> None:
    (tools / "python3").unlink()
    done = run("demo")
    assert done.returncode == 2
    assert "found none" in done.stderr


def test_a_named_python_is_the_only_one_tried(run: Run, tools: Path) -> None:
    old = script(tools / "old python", '[ "$1" = --version ] && echo Python 3.8.1; exit 1')
    done = run("demo", LOCALAGENT_PYTHON=str(old))
    assert done.returncode == 2
    assert "found Python 3.8.1" in done.stderr


@pytest.mark.slow
def test_an_index_that_does_not_answer(run: Run, checkout: Path, home: Path) -> None:
    done = run("check")
    assert done.returncode == 2
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert errors == [
        "error: the packages that localagent needs could not be installed: "
        "the package index does not answer"
    ]
    assert "PIP_INDEX_URL" in done.stderr
    log = home / ".local/state/localagent/logs/setup.log"
    assert f"full log: {log}" in done.stderr
    assert "127.0.0.1" in log.read_text()
    assert "Traceback" not in done.stderr
    # What was done is not done again.
    made = (checkout / ".venv/pyvenv.cfg").stat().st_mtime_ns
    assert run("check").returncode == 2
    assert (checkout / ".venv/pyvenv.cfg").stat().st_mtime_ns == made


def test_a_python_without_venv_is_said(run: Run, tools: Path, tmp_path: Path) -> None:
    real = (tools / "python3").resolve()
    lacking = script(
        tools / "no venv", f'case "$*" in *"-m venv"*) exit 1;; esac; exec {real} "$@"'
    )
    start = "import sys; sys._base_executable = sys.executable = sys.argv.pop(1)\n"
    start += "import runpy; sys.argv.pop(0); runpy.run_path(sys.argv[0], run_name='__main__')"
    wrapped = script(
        tools / "wrapped",
        f'[ "$1" = -B ] || exec {real} "$@"\nshift\nexec {real} -c "{start}" "{lacking}" "$@"',
    )
    done = run("check", LOCALAGENT_PYTHON=str(wrapped))
    assert done.returncode == 2
    assert "could not make a virtual environment" in done.stderr
    assert "apt install python3-venv" in done.stderr


def test_a_second_setup_waits_and_can_be_left(
    checkout: Path, environment: dict[str, str], home: Path
) -> None:
    builds = home / ".cache/localagent/build"
    builds.mkdir(parents=True)
    handle = os.open(builds / "setup.lock", os.O_CREAT | os.O_RDWR)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        process = subprocess.Popen(
            [checkout / "scripts/check"], env=environment, stderr=subprocess.PIPE, text=True
        )
        assert process.stderr is not None
        line = process.stderr.readline()
        while "note:" in line:
            line = process.stderr.readline()
        assert "waiting for another setup" in line
        process.send_signal(signal.SIGINT)
        _, rest = process.communicate(timeout=60)
    finally:
        os.close(handle)
    assert process.returncode == 130
    assert rest == "interrupted; run it again to continue from here\n"
    assert not (checkout / ".venv").exists()
