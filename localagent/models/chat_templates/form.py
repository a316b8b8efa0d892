"""`TemplateForm`: what a chat template can do, as `probe` finds it and models.lock pins it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Variable = bool | int | str | None
CallForm = Literal["", "json", "named-json", "tags", "python", "gemma", "harmony", "content"]
"""How a model writes a tool call: "" for a template without tools.

"json" has the name inside of a JSON object, "named-json" before it. "tags" has one tag an argument,
"python" is a list of Python-like calls. "gemma" and "harmony" are those families' own forms. With
"content", the template takes a call as the model wrote it (LFM2).
"""

DATE = "2026-01-01"
"""The date that templates read where models.lock pins none."""


@dataclass(frozen=True, slots=True)
class TemplateForm:
    """What a chat template can do.

    `alternates` says that two messages of one role in a row are refused. `system` "user" puts the
    system message to the top of the first user message, where the template moves or refuses it.
    Unless `append_only`, the template
    renders an earlier part of the conversation in another way later; `difference` says which.

    `on` and `off` are the variables that turn thinking on and off. `thought_start` and
    `thought_end` surround a thought, "" for a template without thoughts. `unthinking` is the text
    that ends the prompt of a reply without a thought, where the variables do not add it.

    `call_form`, `call_start` and `call_end` describe tool calls in the template's own form, and
    `results` is the role of their results. `call_sample` is a call with the name `qone` and the
    argument `qkey`. `several_calls` says that one reply can hold several.
    `date` is the date that the template reads in place of a clock.
    """

    alternates: bool = False
    system: Literal["system", "user"] = "system"
    append_only: bool = True
    difference: str = ""
    on: Mapping[str, Variable] = field(default_factory=dict)
    off: Mapping[str, Variable] = field(default_factory=dict)
    thought_start: str = ""
    thought_end: str = ""
    unthinking: str = ""
    call_form: CallForm = ""
    call_start: str = ""
    call_end: str = ""
    call_sample: str = ""
    several_calls: bool = False
    results: Literal["user", "tool"] = "user"
    date: str = DATE

    @property
    def thinks(self) -> bool:
        """Whether the model can think before a reply."""
        return bool(self.thought_end)
