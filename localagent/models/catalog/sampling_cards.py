"""How makers say that their models should be sampled, for the profile that `models add` proposes.

A model file may say it itself (`general.sampling.*`); the cards of November 2026 say it for the
families below. Greedy decoding makes models that think repeat themselves without end, so their
makers warn against it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_Set = dict[str, float | int]

THOUGHT_TOKENS = 2048
"""Most tokens of a thought before a plan: makers let models think for longer, but on a CPU with 10
tokens a second this takes three minutes."""

_QWEN_THINKING: _Set = {"temperature": 0.6, "top_p": 0.95, "top_k": 20}
# A pattern for the model's name, and its sampling without and with a thought.
_CARDS: tuple[tuple[str, _Set, _Set], ...] = (
    (
        r"qwen[- ]?3\.[5-9]",
        {"temperature": 0.7, "top_p": 0.8, "top_k": 20, "presence_penalty": 1.5},
        {"temperature": 1.0, "top_p": 0.95, "top_k": 20},
    ),
    (
        r"qwen[- ]?3[- ]coder",
        {"temperature": 0.7, "top_p": 0.8, "top_k": 20, "repeat_penalty": 1.05},
        {},
    ),
    (r"qwen[- ]?3", {"temperature": 0.7, "top_p": 0.8, "top_k": 20}, _QWEN_THINKING),
    (r"qwq", _QWEN_THINKING, _QWEN_THINKING),
    (r"gemma", {"temperature": 1.0, "top_p": 0.95, "top_k": 64}, {}),
    (r"gpt[- ]?oss", {"temperature": 1.0, "top_p": 1.0, "top_k": 0}, {}),
    (
        r"glm",
        {"temperature": 0.7, "top_p": 1.0, "top_k": 0, "min_p": 0.01},
        {"temperature": 1.0, "top_p": 0.95, "top_k": 0, "min_p": 0.01},
    ),
    (
        r"devstral|mistral-small|ministral",
        {"temperature": 0.15, "top_p": 1.0, "top_k": 0, "min_p": 0.01},
        {"temperature": 0.7, "top_p": 0.95, "top_k": 0},
    ),
    (r"nemotron", {"temperature": 1.0, "top_p": 1.0, "top_k": 0}, {}),
    (r"lfm", {"temperature": 0.3, "top_p": 1.0, "top_k": 0, "min_p": 0.15}, {}),
    (r"deepseek|r1-distill|smollm3", {"temperature": 0.6, "top_p": 0.95, "top_k": 0}, {}),
)
_THINKER: _Set = {"temperature": 0.6, "top_p": 0.95, "top_k": 20}

# Keys of llama.cpp's model files (gguf-py/gguf/constants.py), and those of a profile.
_FILE_KEYS = {
    "temp": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "min_p": "min_p",
    "penalty_repeat": "repeat_penalty",
}


def propose_sampling(name: str, metadata: Mapping[str, object], *, thinks: bool) -> dict[str, Any]:
    """The sampling keys of a profile for the model called `name`; {} if no maker says anything.

    `metadata` is that of the model file, `thinks` says whether the model can think.
    """
    card = next((c for c in _CARDS if re.search(c[0], name.lower())), None)
    plain, thinking = (card[1], card[2]) if card else (_THINKER, {}) if thinks else ({}, {})
    plain = {**plain, **_of_file(metadata)}
    if not plain:
        return {}
    proposal: dict[str, Any] = {**plain, "greedy": False}
    if thinks:
        proposal |= {"think": THOUGHT_TOKENS, "think_for": "plans"}
        proposal["thinking"] = {**plain, "presence_penalty": 0.0, **thinking}
    return proposal


def _of_file(metadata: Mapping[str, object]) -> _Set:
    """The sampling that the metadata of a model file name."""
    values = {new: metadata.get(f"general.sampling.{key}") for key, new in _FILE_KEYS.items()}
    return {
        key: int(value) if key == "top_k" else float(value)
        for key, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
    }
