"""What `models advise` says of a machine, and how it measures."""

from __future__ import annotations

from pathlib import Path

import pytest

from localagent.cli.advise import _row
from localagent.models.base import ModelInfo, Profile
from localagent.models.catalog import advice
from localagent.models.catalog.advice import Speed
from localagent.models.catalog.families import FAMILY_MODELS
from localagent.models.scripted import ScriptedModel, ScriptedReply

SPEED = Speed(100.0, 30.0, 1_100_000_000)


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("qwen2.5-coder-1.5b-instruct-q4_k_m.gguf", "Qwen2.5-Coder-1.5B"),
        ("unsloth/Qwen3.6-35B-A3B-GGUF: Q4_K_M.gguf", "Qwen3.6-35B-A3B"),
        ("gpt-oss:20b", "gpt-oss-20b"),
        ("qwen3.5:9b", "Qwen3.5-9B"),
        ("gemma-4-26b-a4b-it-Q4_K_M.gguf", "Gemma 4 26B-A4B"),
        ("Devstral-Small-2-24B-Instruct", "Devstral-Small-2"),
        ("granite-4.0-h-tiny-Q4_K_M.gguf", "Granite-4-H-Tiny"),
        ("qwen3-coder-next-q4", "Qwen3-Coder-Next"),
    ],
)
def test_a_file_is_found_by_its_name(name: str, model: str) -> None:
    assert [each.name for each in FAMILY_MODELS if each.matches(name)] == [model]


def test_what_fits_and_how_fast() -> None:
    files = [("Qwen3.5-9B-Q4_K_M.gguf", "/models/a.gguf"), ("other.gguf", "/models/b.gguf")]
    rows = {row.model.name: row for row in advice.advise(8_000_000_000, SPEED, files)}
    small, nine, experts = (
        rows[name] for name in ("Qwen2.5-Coder-1.5B", "Qwen3.5-9B", "Qwen3.6-35B-A3B")
    )
    assert small.speed is not None
    assert (small.speed.reading, small.speed.writing) == (100.0, 30.0)
    assert (small.fits, nine.fits, experts.fits) == (True, True, False)
    assert (small.places, nine.places) == ((), ("/models/a.gguf",))
    assert nine.speed is not None
    assert experts.speed is not None
    assert nine.speed.writing < experts.speed.writing < small.speed.writing
    assert all(row.speed is None for row in advice.advise(1, None, []))


def test_a_measurement_is_stored(home: Path) -> None:
    info = ModelInfo("toy", "scripted", "", Profile())
    model = ScriptedModel([ScriptedReply(text="x"), ScriptedReply(text="one two three")], info)
    speed = advice.measure(model, 7)
    assert (speed.size, len(speed.day)) == (7, 10)
    assert advice.recorded_speed("pin") is None
    advice.record_speed("pin", SPEED)
    assert advice.recorded_speed("pin") == SPEED
    (stored,) = home.rglob("speed.json")
    stored.write_text('{"pin": [1]}')
    assert advice.recorded_speed("pin") is None


@pytest.mark.parametrize(("reading", "writing"), [(0.0, 0.0), (80.0, 0.0)])
def test_a_speed_that_was_not_measured_is_not_printed(reading: float, writing: float) -> None:
    rows = advice.advise(24_000_000_000, Speed(reading, writing, 1_100_000_000), ())
    assert not any("tokens/s" in cell for row in rows for cell in _row(row))
    measured = advice.advise(24_000_000_000, SPEED, ())
    assert "tokens/s" in " ".join(_row(measured[0]))
