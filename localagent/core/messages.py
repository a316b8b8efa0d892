"""Messages of a conversation, as the model sees them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Message:
    """One message; `content` is plain text. `asked` is what an answer was written to."""

    role: Role
    content: str
    asked: Asked | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """A text that the model was shown beside a question. Where it is code: the `path` of its file,
    the `sha256` of the whole file, and its `lines` (first and last, from 1)."""

    text: str
    path: str = ""
    sha256: str = ""
    lines: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """What was new in the prompt that an answer was written to: messages `before` the question,
    then one with the `parts` and the `question`. Where it was put `anew`, that was all of the
    prompt but for the rules; otherwise it went on from the answer before."""

    question: str
    parts: tuple[Part, ...] = ()
    before: tuple[Message, ...] = ()
    anew: bool = True

    @property
    def text(self) -> str:
        """The user's message, as the model saw it."""
        return "\n\n".join([*(part.text for part in self.parts), self.question])


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
