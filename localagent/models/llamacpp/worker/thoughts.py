"""Separates the thought at the beginning of a reply from the reply itself."""

from __future__ import annotations

import re
from typing import Literal

from localagent.models.chat_templates.form import TemplateForm
from localagent.models.chat_templates.probe_calls import MARKER


class ThoughtReader:
    """Splits a reply into its thought, with the markers around it, and the rest.

    gpt-oss writes a header before the reply, where `unthinking` names its channel: that header is a
    part of the thought as well. A header of another thought begins the next one.
    """

    def __init__(self, form: TemplateForm) -> None:
        self._start, self._end = form.thought_start, form.thought_end
        headers = re.findall(MARKER, form.unthinking)
        self._header_end = headers[-1] if headers and self._end not in form.unthinking else ""
        self._state: Literal["thought", "header", "space", "reply"] = "thought"
        self._text = ""
        self.length = 0
        """Characters of the thought, up to the present."""

    @property
    def over(self) -> bool:
        """Whether the reply has begun, or the next character that is no space begins it."""
        return self._state in ("space", "reply")

    def split(self, piece: str) -> tuple[str, str]:
        """The part of the next `piece` that belongs to the thought, and the part that does not."""
        if self._replies():
            return "", piece
        self._text += piece
        self._advance()
        rest = self._text[self._place :] if self._replies() else ""
        thought = piece[: len(piece) - len(rest)]
        self.length += len(thought)
        return thought, rest

    _place = 0  # in the text: where the present state began

    def _replies(self) -> bool:
        return self._state == "reply"

    def _advance(self) -> None:
        """Go from state to state, up to the end of the text."""
        while True:
            place = self._place
            if self._state == "thought" and (end := self._after(self._end)):
                self._place, self._state = end, "header" if self._header_end else "space"
            elif self._state == "header" and (end := self._after(self._header_end)):
                again = self._start in self._text[place:end]
                self._place, self._state = end, "thought" if again else "reply"
            elif self._state == "space" and (rest := self._text[place:].lstrip()):
                self._place, self._state = len(self._text) - len(rest), "reply"
            else:
                return

    def _after(self, marker: str) -> int:
        """The position after the next `marker`, or 0."""
        place = self._text.find(marker, self._place)
        return place + len(marker) if place >= 0 else 0


def closing(form: TemplateForm) -> str:
    """The text that ends a thought and begins the reply."""
    if form.thought_end in form.unthinking or not form.unthinking.strip():
        return f"\n{form.thought_end}\n\n"
    return f"{form.thought_end}<|start|>assistant{form.unthinking}"
