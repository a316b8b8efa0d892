"""What a request is: a question to be answered or a change to be made.

The words decide where they are plain, since a small machine needs seconds to ask a model.
"""

from __future__ import annotations

import re
from typing import Literal

Kind = Literal["answer", "edit", "unclear"]

_QUESTION = re.compile(
    r"^(what|why|how|where|when|who|which|whose|is|are|was|were|does|do|did|can|could|should|would"
    r"|has|have|will|explain|describe|summari[sz]e|tell me|show me|list|find|compare|review)\b",
    re.I,
)
_CHANGE = re.compile(
    r"\b(implement|fix|repair|add|change|make|write|create|update|rename|remove|delete|refactor"
    r"|replace|rewrite|correct|move|convert|extend|port|translate|handle|support|solve|complete"
    r"|build|generate|edit|modify|improve|optimi[sz]e|let)\b",
    re.I,
)
_ASKS = re.compile(r"\?(\s|$)")  # "And 500? In one sentence."
_POLITE = re.compile(r"^(please|could you|can you|would you|will you|i want you to)\b[\s,]*", re.I)


def classify(prompt: str) -> Kind:
    """Whether `prompt` asks for an answer or for an edit; "unclear" where its words do not say."""
    text = prompt.strip()
    plain = _POLITE.sub("", text)
    polite = plain != text
    if _CHANGE.match(plain):
        return "edit"
    if _QUESTION.match(text) and not polite:
        return "answer"
    if text.endswith("?") and not polite:
        return "answer"
    if _CHANGE.search(text):
        return "edit"
    return "answer" if _ASKS.search(text) and not polite else "unclear"
