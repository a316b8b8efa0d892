"""`scripts/bench terminal`: how the interactive session feels, measured from outside, at a pty.

- first: seconds from the start of the process to the prompt
- echo: seconds from a key to its character on the terminal, during an answer
- stop: seconds from Ctrl-C in the middle of an answer to its end
- resume: seconds from Enter to the first words of an answer. The first figure is a new session
  with a long prompt; the second is that session resumed, with its KV cache on the disk
- stream: memory and CPU time of the session's process over a long stream of answers

`--index DIR` builds an index of the repository DIR during echo, again and again.

With `--model` a real model writes the answers, with all its threads. Without it they are scripted,
at 100 tokens per second. Nothing else should run: time that the benchmark waits for a core counts.
"""

from __future__ import annotations

import argparse
import os
import pty
import random
import re
import select
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fcntl import ioctl
from pathlib import Path
from termios import TIOCSWINSZ

from rows import REPO, machine, write_row

PARTS = ("first", "echo", "stop", "resume", "stream")
QUESTION = "what does every function here do? explain each one at length"
PACE = 0.01  # seconds a token
# Characters that no answer contains. Each is typed into a line without it, so that redrawing the
# line does not show it.
KEYS = [chr(code) for code in range(0x100, 0x17F)]
KEYS_A_LINE = 40
_TIMEOUT = 300.0
_WORDS = "one two three four five six seven eight nine ten eleven twelve "


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `scripts/bench terminal`."""
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all")
    parser.add_argument("--model", help="a model that is installed; default: scripted answers")
    parser.add_argument("--keys", type=int, default=300, help="keys to press for echo")
    parser.add_argument("--seconds", type=float, default=600.0, help="length of stream")
    parser.add_argument("--repeat", type=int, default=5, help="number of starts and of stops")
    parser.add_argument("--index", metavar="DIR", type=Path, help="index DIR during echo")
    parser.add_argument("--out", type=Path, default=REPO / ".bench" / "terminal.jsonl")


def run(options: argparse.Namespace) -> int:
    """Measure the named parts, each in a session of its own."""
    wrong = [part for part in options.parts if part not in PARTS]
    if wrong:
        print(f"there is no part {wrong[0]}; parts: {', '.join(PARTS)}", file=sys.stderr)
        return 2
    if options.index is not None and not options.index.is_dir():
        print(f"there is no folder {options.index} to index", file=sys.stderr)
        return 2
    measures = {
        "first": _first,
        "echo": _echo,
        "stop": _stop,
        "resume": _resume,
        "stream": _stream,
    }
    with tempfile.TemporaryDirectory(prefix="localagent-bench-") as folder:
        project = _project(Path(folder))
        for part in options.parts or PARTS:
            figures = measures[part](project, options)
            row = {"part": part, "model": options.model or "scripted", **figures, **machine()}
            write_row(options.out, row)
            print(
                f"{part:<7}" + "  ".join(f"{name} {value}" for name, value in figures.items()),
                flush=True,
            )
    return 0


def _project(folder: Path) -> Path:
    """A folder of code, and a script of long answers next to it."""
    project = folder / "project"
    project.mkdir()
    for number in range(20):
        code = f"def function_{number}(value):\n    return value * {number}\n"
        (project / f"module_{number}.py").write_text(code)
    lines = "\n\n".join(f"- item {n}: {_WORDS * 3}`code_{n}` and **more**" for n in range(200))
    head = f'--- reply to = "chat", repeat = true, pace = {PACE}\n'
    (folder / "answers.txt").write_text(head + lines)
    return project


@dataclass
class Terminal:
    """A localagent at a pty of 100 by 40."""

    pid: int
    fd: int
    began: float
    _output: bytes = field(default=b"")

    @classmethod
    def start(cls, project: Path, options: argparse.Namespace, *more: str) -> Terminal:
        """Start a session in `project`."""
        words = [sys.executable, "-m", "localagent", "-C", str(project), "--mode", "plan", *more]
        words += (
            ["--model", options.model]
            if options.model
            else ["--scripted", str(project.parent / "answers.txt")]
        )
        began = time.perf_counter()
        pid, fd = pty.fork()
        if pid == 0:
            os.environ.update(TERM="xterm-256color", LC_ALL="C.UTF-8", PYTHONPATH=str(REPO))
            os.execv(words[0], words)
        ioctl(fd, TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
        return cls(pid, fd, began)

    def press(self, keys: str) -> float:
        """Press keys and forget earlier output; returns the time just before.

        The session may answer sooner than this method returns.
        """
        self.rest(0.0)
        self._output = b""
        moment = time.perf_counter()
        os.write(self.fd, keys.encode())
        return moment

    def until(self, text: str, seconds: float = _TIMEOUT) -> float:
        """Read until `text` is there, and return the time. Raises TimeoutError."""
        end = time.perf_counter() + seconds
        while text.encode() not in self._output:
            left = end - time.perf_counter()
            if left <= 0:
                raise TimeoutError(f"no {text!r} in {self._output[-2000:]!r}")
            self.rest(left, once=True)
        return time.perf_counter()

    def until_pressed(self, key: str) -> float:
        """Press a key; returns the seconds until its character is there."""
        pressed = self.press(key)
        return self.until(key) - pressed

    def quiet(self) -> bool:
        """Whether the model writes no answer: hardly a word arrives in a second."""
        self._output = b""
        self.rest(1.0)
        return len(re.findall(rb"[a-z]{3,}", self._output)) <= 20

    def rest(self, seconds: float, *, once: bool = False) -> None:
        """Read output for some seconds, or `once`."""
        end = time.perf_counter() + seconds
        while True:
            left = max(end - time.perf_counter(), 0.0)
            ready, _, _ = select.select([self.fd], [], [], left)
            if not ready:
                return
            self._output = (self._output + os.read(self.fd, 1 << 16))[-(1 << 20) :]
            if once:
                return

    def ask(self) -> None:
        """Ask for a long answer, and wait until the model writes it."""
        self.press(f"{QUESTION}\r")
        self.until("tok/s")
        self._output = b""

    def close(self) -> None:
        """Leave: press Ctrl-C until the session ends, and kill it where it does not."""
        end = time.monotonic() + _TIMEOUT
        try:
            while time.monotonic() < end:
                os.write(self.fd, b"\x03")
                self.rest(0.3)
            os.kill(self.pid, signal.SIGKILL)
        except OSError:  # the other end is closed
            pass
        os.waitpid(self.pid, 0)
        os.close(self.fd)

    def __enter__(self) -> Terminal:
        """Wait until the session is open."""
        self.until("plan mode")
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


def _first(project: Path, options: argparse.Namespace) -> dict:
    """Seconds from the start of the process to the prompt, and to the open session."""
    prompts, opened = [], []
    for _ in range(options.repeat):
        terminal = Terminal.start(project, options)
        prompts.append(terminal.until("opening the session") - terminal.began)
        opened.append(terminal.until("plan mode") - terminal.began)
        terminal.close()
    return {"prompt_s": _round(max(prompts)), "session_s": _round(max(opened))}


def _echo(project: Path, options: argparse.Namespace) -> dict:
    """Press keys at a typist's pace, while the model writes one answer after another."""
    waited: list[float] = []
    chance = random.Random(0)
    with Terminal.start(project, options) as terminal, _indexing(options.index) as built:
        terminal.ask()
        for number in range(options.keys):
            if number % KEYS_A_LINE == 0:
                terminal.press("\x15")  # Ctrl-U
                terminal.rest(0.3)
                if terminal.quiet():
                    terminal.ask()
            key = KEYS[number % len(KEYS)]
            waited.append(terminal.until_pressed(key))
            terminal.rest(chance.uniform(0.03, 0.15))
    return {
        **({"index": str(options.index), "indexes_built": built()} if options.index else {}),
        "keys": len(waited),
        "median_ms": _milliseconds(statistics.median(waited)),
        "p99_ms": _milliseconds(sorted(waited)[int(len(waited) * 0.99)]),
        "most_ms": _milliseconds(max(waited)),
    }


@contextmanager
def _indexing(folder: Path | None) -> Iterator[Callable[[], int]]:
    """Build an index of a folder again and again, in a process and a cache of its own.

    Yields a function that returns the number of builds. Does nothing without a folder.
    """
    begun = 0
    over = threading.Event()

    def build(cache: str) -> None:
        nonlocal begun
        words = [sys.executable, "-m", "localagent", "index", "build", "-C", str(folder)]
        env = {**os.environ, "XDG_CACHE_HOME": cache, "PYTHONPATH": str(REPO)}
        while not over.is_set():
            shutil.rmtree(cache, ignore_errors=True)
            begun += 1
            with subprocess.Popen(words, env=env, stdout=subprocess.DEVNULL) as process:
                while process.poll() is None:
                    if over.wait(0.2):
                        process.terminate()
            if not over.is_set() and process.returncode:
                raise RuntimeError(f"localagent index build failed: {process.returncode}")

    if folder is None:
        yield lambda: 0
        return
    with tempfile.TemporaryDirectory(prefix="localagent-bench-index-") as cache:
        thread = threading.Thread(target=build, args=(f"{cache}/cache",), daemon=True)
        thread.start()
        try:
            yield lambda: begun
        finally:
            over.set()
            thread.join()


def _resume(project: Path, options: argparse.Namespace) -> dict:
    """Ask a long question in a new session with an empty cache, then a short one when resumed."""
    names = " ".join(f"@{file.name}" for file in sorted(project.glob("*.py")))
    first, resumed = [], []
    for _ in range(options.repeat):
        with _fresh_cache():
            with Terminal.start(project, options) as terminal:
                pressed = terminal.press(f"what do the functions in {names} do?\r")
                first.append(terminal.until("tok/s") - pressed)
            with Terminal.start(project, options, "--continue") as terminal:
                pressed = terminal.press("which of them is the longest?\r")
                resumed.append(terminal.until("tok/s") - pressed)
    return {
        "first_s": _round(statistics.median(first)),
        "resumed_s": _round(statistics.median(resumed)),
    }


@contextmanager
def _fresh_cache() -> Iterator[None]:
    """Give processes that start in the block a fresh cache folder."""
    before = os.environ.get("XDG_CACHE_HOME")
    with tempfile.TemporaryDirectory(prefix="localagent-bench-cache-") as cache:
        os.environ["XDG_CACHE_HOME"] = cache
        try:
            yield
        finally:
            del os.environ["XDG_CACHE_HOME"]
            if before is not None:
                os.environ["XDG_CACHE_HOME"] = before


def _stop(project: Path, options: argparse.Namespace) -> dict:
    took = []
    with Terminal.start(project, options) as terminal:
        for _ in range(options.repeat):
            terminal.ask()
            terminal.rest(1.0)
            pressed = terminal.press("\x03")
            took.append(terminal.until("interrupted") - pressed)
            terminal.rest(2.5)  # an immediate second Ctrl-C would leave
    return {"stops": len(took), "most_s": _round(max(took))}


def _stream(project: Path, options: argparse.Namespace) -> dict:
    """Memory and CPU time of the session's process, while one answer follows the other.

    A scripted model is part of that process, a real model is not.
    """
    sizes: list[float] = []
    with Terminal.start(project, options) as terminal:
        terminal.ask()
        began, before = time.perf_counter(), _cpu_seconds(terminal.pid)
        while (lasted := time.perf_counter() - began) < options.seconds:
            terminal.rest(1.0)
            sizes.append(_resident_mb(terminal.pid))
            if terminal.quiet():
                terminal.ask()
        cpu = _cpu_seconds(terminal.pid) - before
    fifth = max(len(sizes) // 5, 1)
    return {
        "seconds": round(lasted),
        "cpu_share": _round(cpu / lasted),
        "memory_mb_at_a_fifth": round(statistics.median(sizes[fifth : 2 * fifth] or sizes)),
        "memory_mb_at_the_end": round(statistics.median(sizes[-fifth:])),
    }


def _cpu_seconds(pid: int) -> float:
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def _resident_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 1)


def _round(seconds: float) -> float:
    return round(seconds, 3)
