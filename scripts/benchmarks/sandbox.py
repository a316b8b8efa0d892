"""`scripts/bench sandbox`: start-up time of each kind of sandbox, compared to a bare command."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rows import REPO, machine, write_row

from localagent.core.errors import SandboxError
from localagent.sandbox.base import Command
from localagent.sandbox.select import KINDS, make

_BAR_MS = 30.0
_LINE = "true"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `scripts/bench sandbox`."""
    parser.add_argument("--repeat", type=int, default=40, help="commands of each kind")
    parser.add_argument("--files", type=int, default=200, help="files in the workspace")
    parser.add_argument("--out", type=Path, default=REPO / ".bench" / "sandbox.jsonl")


def run(options: argparse.Namespace) -> int:
    """Measure each kind that works here, alternating with bare commands.

    The first figure is a command in an open snapshot. Pauses between commands, as an agent makes
    them, let the next launcher get ready. The second figure opens a new snapshot for each command.
    """
    with tempfile.TemporaryDirectory(dir=Path.home()) as name:
        root = Path(name)
        for number in range(options.files):
            (root / f"file{number}.py").write_text(f"x = {number}\n" * 50)
        for kind in KINDS:
            _measure(kind, root, options)
    return 0


def _measure(kind: str, root: Path, options: argparse.Namespace) -> None:
    bare: list[float] = []
    command: list[float] = []
    fresh: list[float] = []
    try:
        sandbox = make(kind)
        with sandbox.open(root) as snapshot:
            snapshot.run(Command(_LINE))
            for _ in range(options.repeat):
                bare.append(_milliseconds(_bare))
                command.append(_milliseconds(lambda: snapshot.run(Command(_LINE))))
    except SandboxError as error:
        print(f"{kind:<11} does not work here: {error.message}")
        return

    def view_and_command() -> None:
        with sandbox.open(root) as snapshot:
            snapshot.run(Command(_LINE))
            snapshot.changes()

    for _ in range(options.repeat):
        fresh.append(_milliseconds(view_and_command))
    sandbox.close()
    base = statistics.median(bare)
    over = statistics.median(command) - base
    row = {
        "kind": kind,
        "files": options.files,
        "bare_ms": round(base, 2),
        "over_bare_ms": round(over, 2),
        "view_over_bare_ms": round(statistics.median(fresh) - base, 2),
        "bar_ms": _BAR_MS,
        "met": over <= _BAR_MS,
    }
    write_row(options.out, {**row, **machine()})
    print(
        f"{kind:<11} {over:6.1f} ms over a bare command ({base:.1f} ms), "
        f"{row['view_over_bare_ms']:.1f} ms with a new snapshot; bar {_BAR_MS:.0f} ms"
    )


def _bare() -> None:
    subprocess.run(["/bin/sh", "-c", _LINE], stdin=subprocess.DEVNULL, check=True)


def _milliseconds(act: Callable[[], object]) -> float:
    time.sleep(0.05)  # the next launcher starts in this time
    begun = time.perf_counter()
    act()
    return (time.perf_counter() - begun) * 1000
