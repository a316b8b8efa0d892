"""`models advise`: what this machine can run, and how fast, measured with one model of the lock."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from localagent.core.atomic import write_atomic
from localagent.core.messages import Message
from localagent.core.paths import private, state_dir
from localagent.models.base import Finish, Model, Reading, Request, Usage
from localagent.models.catalog.families import FAMILY_MODELS, FamilyModel

PROBE_SECONDS = 10.0

_PROMPT_LINES = 20  # about 250 tokens, which two cores read in three seconds
_WRITE_TOKENS = 64

# Memory besides the file: caches of 8,192 tokens and buffers. The default model, with a file of
# 1.1 GB, takes 1.8 GB.
_SHARE, _EXTRA = 1.1, 600_000_000


@dataclass(frozen=True, slots=True)
class Speed:
    """Tokens a second that this machine reads and writes with a model; 0 for unknown.

    `size` is the file's in bytes, `day` that of the measurement.
    """

    reading: float
    writing: float
    size: int
    day: str = ""


@dataclass(frozen=True, slots=True)
class Advice:
    """Whether a model fits into memory, and its expected speed; None if nothing was measured.

    `need` is in bytes. `places` are the paths of the model's copies on this machine.
    """

    model: FamilyModel
    need: int
    fits: bool
    speed: Speed | None
    places: tuple[str, ...]


def advise(memory: int, speed: Speed | None, files: Iterable[tuple[str, str]]) -> Sequence[Advice]:
    """The advice for each model of the families, for `memory` bytes.

    `speed` was measured with a dense model. `files` are names and paths of models on this machine.
    """
    known = tuple(files)
    found = []
    for model in FAMILY_MODELS:
        need = round(_SHARE * model.size) + _EXTRA
        places = dict.fromkeys(path for name, path in known if model.matches(name))
        fits = need <= memory
        found.append(Advice(model, need, fits, _expected(model, speed), tuple(places)))
    return found


def _expected(model: FamilyModel, speed: Speed | None) -> Speed | None:
    """The speed of a model by that of another: each token takes the active part of the file."""
    if speed is None:
        return None
    share = speed.size / (model.size * model.active / model.parameters)
    return Speed(speed.reading * share, speed.writing * share, model.size)


def measure(model: Model, size: int, seconds: float = PROBE_SECONDS) -> Speed:
    """Measure reading and writing for at most `seconds` after the model is loaded.

    `size` is that of its file in bytes. Raises BackendError.
    """
    list(model.generate(Request((Message("user", "Hello"),), max_tokens=1)))
    start = time.time_ns()  # a text that no cache holds
    text = "\n".join(f"{start + number}: def f{number}(x): ..." for number in range(_PROMPT_LINES))
    timer = threading.Timer(seconds, model.cancel)
    timer.start()
    begin, reading, usage = time.monotonic(), 0.0, Usage()
    try:
        for chunk in model.generate(Request((Message("user", text),), max_tokens=_WRITE_TOKENS)):
            if isinstance(chunk, Reading):
                reading = (chunk.done - chunk.reused) / max(time.monotonic() - begin, 1e-3)
            elif isinstance(chunk, Finish):
                usage = chunk.usage
    finally:
        timer.cancel()
    if usage.prefill_seconds:
        reading = (usage.prompt_tokens - usage.reused_tokens) / usage.prefill_seconds
    writing = usage.completion_tokens / usage.decode_seconds if usage.decode_seconds else 0.0
    return Speed(reading, writing, size, date.today().isoformat())


def record_speed(pin: str, speed: Speed) -> None:
    """Store the speed of the model with this hash, for `recorded_speed`. Raises OSError."""
    values = _records() | {pin: [speed.reading, speed.writing, speed.size, speed.day]}
    write_atomic(private(state_dir()) / "speed.json", json.dumps(values, indent=1))


def recorded_speed(pin: str) -> Speed | None:
    """The stored speed of the model with this hash."""
    try:
        reading, writing, size, day = _records()[pin]
        return Speed(float(reading), float(writing), int(size), str(day))
    except (KeyError, TypeError, ValueError):
        return None


def _records() -> dict[str, list[float | int | str]]:
    try:
        values = json.loads((state_dir() / "speed.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}
