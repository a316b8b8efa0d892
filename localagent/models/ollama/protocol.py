"""What an Ollama server says, as far as localagent reads it; every message is checked here.

Source: `api/types.go` and `server/routes.go` of Ollama, versions 0.5.0 to 0.32.15. Fields that
older servers lack are None or empty; unknown ones are left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=0)]


class _Told(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


class Version(_Told):
    """Of `/api/version`."""

    version: str

    @property
    def numbers(self) -> tuple[int, ...]:
        """The first three numbers, such as (0, 12, 6); (0, 0, 0) for a build from source."""
        found = [int(number[:9]) for number in re.findall(r"\d+", self.version)[:3]]
        return tuple(found + [0] * (3 - len(found)))


class Cloud(_Told):
    """Whether the server was told not to send anything to its maker's cloud."""

    disabled: bool | None = None


class ServerStatus(_Told):
    """Of `/api/status`, which older servers do not know."""

    cloud: Cloud | None = None


class Details(_Told):
    """What a model is made of; for people, and for a first guess at its size."""

    parameter_size: str = ""
    quantization_level: str = ""


class _Placed(_Told):
    """Where a model runs: "" means on the machine of the server."""

    remote_host: str | None = None
    remote_model: str | None = None

    @property
    def remote(self) -> str:
        """The other host that this is sent to, or ""."""
        return self.remote_host or self.remote_model or ""


class Tagged(_Placed):
    """A model in `/api/tags`. `digest` is the sha256 of its manifest, `size` in bytes."""

    name: str = ""
    model: str = ""
    digest: str = ""
    size: Count = 0
    details: Details | None = None


class Tags(_Told):
    """Of `/api/tags`."""

    models: list[Tagged] | None = None


class Show(_Placed):
    """Of `/api/show`; `parameters` has a line for each, as in a Modelfile."""

    template: str = ""
    parameters: str = ""
    license: str = ""
    capabilities: list[str] | None = None
    model_info: Mapping[str, Any] | None = None
    details: Details | None = None

    @property
    def stops(self) -> tuple[str, ...]:
        """The model's own stop sequences."""
        found = re.findall(r'^stop\s+("(?:[^"\\]|\\.)*")\s*$', self.parameters, re.M)
        return tuple(text for text in map(_text, found) if text)

    @property
    def trained_window(self) -> int:
        """Tokens that the model was trained for, or 0."""
        for key, value in (self.model_info or {}).items():
            if key.endswith(".context_length") and isinstance(value, int):
                return value
        return 0

    @property
    def fills_in(self) -> bool:
        """Whether the server can render a fill-in-the-middle prompt for it."""
        return "insert" in (self.capabilities or ()) or ".Suffix" in self.template


class Loaded(_Told):
    """A model in `/api/ps`. `context_length` is its window in tokens (0.10.0 and later)."""

    name: str = ""
    model: str = ""
    digest: str = ""
    context_length: Count = 0


class Running(_Told):
    """Of `/api/ps`."""

    models: list[Loaded] | None = None


class Said(_Told):
    """A part of an assistant's message."""

    content: str | None = None
    thinking: str | None = None


class Piece(_Placed):
    """One line of `/api/chat` (with `message`) or `/api/generate` (with `response`).

    The last one has `done`, and the counts (tokens) and durations (nanoseconds).
    `prompt_eval_count` is the whole prompt; `prompt_eval_cached_count` the part that was reused.
    """

    message: Said | None = None
    response: str | None = None
    thinking: str | None = None
    done: bool = False
    done_reason: str | None = None
    prompt_eval_count: Count | None = None
    prompt_eval_cached_count: Count | None = None
    prompt_eval_duration: Count = 0
    eval_count: Count = 0
    eval_duration: Count = 0

    @property
    def text(self) -> str:
        """What it adds to the reply."""
        return (self.message.content if self.message else self.response) or ""

    @property
    def thought(self) -> str:
        """What it adds to the thinking."""
        return (self.message.thinking if self.message else self.thinking) or ""


def _text(quoted: str) -> str:
    """What a string of a Modelfile says, or "" where it is no such string."""
    try:
        return str(json.loads(quoted))
    except ValueError:
        return ""
