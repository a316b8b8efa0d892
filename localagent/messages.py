"""Messages of a conversation, as the model sees them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Message:
    """One message; `content` is plain text."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    """An action that the model asked for.

    `arguments` are raw strings keyed by name; the tool validates them. `raw` is the text of the
    reply that was read as this call.
    """

    name: str
    arguments: dict[str, str]
    raw: str = ""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool gave back: a short half for the model and a half for the person."""

    ok: bool
    for_model: str
    for_person: str
