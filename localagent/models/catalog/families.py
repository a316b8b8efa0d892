"""Models that suit localagent, for `models advise`. The page families.md says more of each family.

Sizes are those of the usual files with four bits a weight, as published until November 2026; where
none was looked up, a weight takes 0.6 bytes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FamilyModel:
    """A model: billions of `parameters`, and how many of them each token uses (`active`).

    `pattern` finds its files by name. `size` is the file's in bytes.
    """

    name: str
    pattern: str
    parameters: float
    active: float
    size: int

    def matches(self, name: str) -> bool:
        """Whether a file or a model of this name is the model."""
        return re.search(self.pattern, name.lower()) is not None


def _model(
    name: str, parameters: float, active: float = 0.0, gigabytes: float = 0.0, pattern: str = ""
) -> FamilyModel:
    size = round(1e9 * (gigabytes or 0.6 * parameters))
    usual = re.escape(name.lower()).replace(r"\ ", "[-_: ]?").replace(r"\-", "[-_: ]?")
    return FamilyModel(name, pattern or usual, parameters, active or parameters, size)


FAMILY_MODELS = (
    _model("Qwen2.5-Coder-1.5B", 1.5, gigabytes=1.1),
    _model("Qwen3.5-2B", 2.0, gigabytes=1.2),
    _model("Qwen2.5-Coder-3B", 3.1, gigabytes=1.9),
    _model("Qwen3.5-4B", 4.0),
    _model("Granite-4-H-Tiny", 7.0, 1.0, pattern=r"granite-4[.0]*-(?:h-)?tiny"),
    _model("Qwen2.5-Coder-7B", 7.6, gigabytes=4.7),
    _model("Gemma 4 E4B", 8.0, 4.5),
    _model("LFM2.5-8B-A1B", 8.3, 1.5),
    _model("Qwen3.5-9B", 9.0, gigabytes=5.3),
    _model("Gemma 4 12B", 12.0),
    _model("gpt-oss-20b", 21.0, 3.6, 12.0),
    _model("Devstral-Small-2", 24.0),
    _model("Mistral-Small-3.2", 24.0),
    _model("Gemma 4 26B-A4B", 26.0, 4.0, 17.1),
    _model("Qwen3.6-27B", 27.0, gigabytes=17.0),
    _model("Qwen3.8-27B", 27.0, gigabytes=17.0),
    _model("GLM-4.7-Flash", 30.0, 3.6),
    _model("Nemotron-3-Nano", 30.0, 3.0),
    _model("Qwen3-Coder-30B-A3B", 30.5, 3.3),
    _model("Qwen3.6-35B-A3B", 35.0, 3.0, 22.1),
    _model("Qwen3-Coder-Next", 80.0, 3.0),
    _model("gpt-oss-120b", 117.0, 5.1),
)
"""From small to large."""
