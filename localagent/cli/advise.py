"""`localagent models advise`: the models that this machine can run, and how fast."""

from __future__ import annotations

import argparse
from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING

from localagent.cli.options import add_command, add_json
from localagent.cli.output import CliResult
from localagent.ui.chat.output import Output
from localagent.ui.view.format import size

if TYPE_CHECKING:
    from localagent.cli.options import Commands
    from localagent.config.settings import Settings
    from localagent.models.catalog.advice import Advice, Speed

_DESCRIPTION = """\
Say which models of 2026 fit into this machine's memory, how fast they would
read and write, and which are on the disk. The speed is measured with the
default model for ten seconds, and computed for the others by the size of what
each token uses. localagent docs families says more of each family."""


def register(actions: Commands) -> None:
    """Add the action advise of models."""
    action = add_command(
        actions, "advise", "which models this machine can run", advise, description=_DESCRIPTION
    )
    action.add_argument("--quick", action="store_true", help="measure nothing")
    add_json(action)


def advise(args: argparse.Namespace) -> CliResult:
    """List the models of the families, one row each."""
    from localagent.config.settings import load
    from localagent.models.catalog import advice
    from localagent.models.catalog.scan import scan
    from localagent.models.llamacpp.hardware import available_memory
    from localagent.models.llamacpp.process import library

    settings = load(None)
    gpus = library().gpus
    own = settings.memory_bytes or available_memory() or 0
    memory = own + sum(gpu.free for gpu in gpus if not gpu.unified)
    speed = None if args.quick else _measure(args, settings)
    files = [
        (f"{name} {file.header.name if file.header else ''}", str(file.path))
        for file in scan().files
        for name in file.names
    ]
    rows = advice.advise(memory, speed, [*files, *_pinned()])
    lines = [f"memory for a model: {size(memory)}" + "".join(f", {gpu.name}" for gpu in gpus)]
    if speed is not None:
        measured = f"measured: {_speed(speed)}, with the default model"
        busy = "the speed could not be measured in ten seconds: the machine is busy"
        lines.append(measured if speed.reading and speed.writing else busy)
    table = tuple(_row(row) for row in rows)
    data = {
        "memory": memory,
        "speed": speed and asdict(speed),
        "models": [{**asdict(row.model), **asdict(row), "model": row.model.name} for row in rows],
    }
    return CliResult([Output("text", "\n".join(lines)), Output("table", rows=table)], data)


def _measure(args: argparse.Namespace, settings: Settings) -> Speed | None:
    """Measure the default model's speed and record it; None if it is not a file on this machine."""
    from localagent.models.catalog import advice, lock, verification
    from localagent.session.models import open_model

    entry = lock.load().entry(settings.model)
    if not entry.file or verification.state(entry) not in ("installed", "unverified"):
        return None
    with args.console.progress(), closing(open_model(entry, settings)) as model:
        speed = advice.measure(model, entry.bytes)
    if speed.writing:
        advice.record_speed(entry.pin, speed)
    return speed


def _pinned() -> list[tuple[str, str]]:
    """The names and files of the lock's models that are on this machine."""
    from localagent.models.catalog import lock, verification

    there = ("installed", "unverified")
    entries = [entry for entry in lock.load().entries if verification.state(entry) in there]
    return [(entry.id, str(verification.location(entry))) for entry in entries]


def _speed(speed: Speed) -> str:
    """A speed as text."""
    rates = (("reads", speed.reading), ("writes", speed.writing))
    return ", ".join(f"{word} {_rate(rate)}" for word, rate in rates) + " tokens/s"


def _rate(rate: float) -> str:
    return f"{rate:.0f}" if rate >= 10 else f"{rate:.1f}"


def _row(row: Advice) -> tuple[str, ...]:
    fits = "fits" if row.fits else f"needs {size(row.need)}"
    known = row.fits and row.speed and row.speed.reading and row.speed.writing
    speed = f"about: {_speed(row.speed)}" if row.speed and known else ""
    place = row.places[0] if row.places else ""
    return (row.model.name, size(row.model.size), fits, speed, place)
