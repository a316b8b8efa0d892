"""Messages of a conversation, tool calls and tool results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Role = Literal["system", "user", "assistant", "tool"]
"""Who says a message; a "tool" gives the result of a native tool call."""


THOUGHT_MARKERS = (
    ("<think>", "</think>"),
    ("[THINK]", "[/THINK]"),
    ("<seed:think>", "</seed:think>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|channel>thought", "<channel|>"),
    ("<|inner_prefix|>", "<|inner_suffix|>"),
    ("<thinking>", "</thinking>"),
    ("Here are my reasoning steps:", "[BEGIN FINAL RESPONSE]"),
)
"""The markers around a thought in the families that have them."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message; `content` is plain text. `asked` is the prompt that an answer replies to.

    `thought` is the text that the model wrote before its reply, with the markers around it. `calls`
    are the names of the tools that a reply calls in the model's native form.
    """

    role: Role
    content: str
    asked: PromptRecord | None = None
    thought: str = ""
    calls: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """A text in the prompt besides the question.

    For code, `path` is the code's file, `sha256` the hash of the whole file, and `lines` the first
    and last line of each excerpt, counted from 1.
    """

    text: str
    path: str = ""
    sha256: str = ""
    lines: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class PromptRecord:
    """The new part of a prompt: messages `before` it, its `parts`, and the `question`.

    With `anew` the prompt held only this part and the rules; otherwise this part continued the
    prompt of the previous answer.
    """

    question: str
    parts: tuple[Part, ...] = ()
    before: tuple[Message, ...] = ()
    anew: bool = True

    @property
    def text(self) -> str:
        """The user's message, as the prompt contains it."""
        return "\n\n".join([*(part.text for part in self.parts), self.question])


@dataclass(frozen=True, slots=True)
class ToolCall:
    """An action that the model requests.

    `arguments` are unchecked strings by name; the tool validates them. `raw` is the text of the
    reply that holds the call.
    """

    name: str
    arguments: dict[str, str]
    raw: str = ""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The result of a tool: a short text for the model and a text for the user."""

    ok: bool
    for_model: str
    for_person: str
