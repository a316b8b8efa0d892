"""Splits a raw reply into its thought and the rest, for models that think without being asked to.

Where a thought is asked for, the backend keeps it apart. This reads the markers of every family.
"""

from __future__ import annotations

import re

from localagent.core.messages import THOUGHT_MARKERS

# A call in a thought without an end is the model's next step.
_CALL = r"(?=<tool_call>\s*(?:<function=|\{|[\w.-]+\s*<arg_key>))"
_MARKED = "|".join(
    rf"{re.escape(start)}(?:.*?{re.escape(end)}|.*?{_CALL}|.*)" for start, end in THOUGHT_MARKERS
)
_ENDS = "|".join(re.escape(end) for _, end in THOUGHT_MARKERS)
# gpt-oss: messages on the channel `analysis`, and the header of the message after them. A worker
# that leaves control tokens out leaves the words of the headers.
_ANALYSIS = (
    r"(?:(?:<\|start\|>assistant)?<\|channel\|>analysis<\|message\|>.*?(?:<\|end\|>|\Z))+"
    r"(?:(?:<\|start\|>assistant)?<\|channel\|>final<\|message\|>)?"
    r"|<\|channel\|>final<\|message\|>"
    r"|analysis(?=\S).*?assistant(?:final|(?=commentary))"
)
_FINAL = r"(?:\[BEGIN FINAL RESPONSE\]\s*)?"  # Apriel's, also after a thought in tags
_THOUGHT = re.compile(rf"\A\s*(?:{_MARKED}|{_ANALYSIS})\s*{_FINAL}", re.DOTALL)
# A thought that the prompt opened: the reply has its end only.
_OPENED = re.compile(
    r"\A(?:(?!<think>|```|<tool_calls?>|<function=|\{\"|\[TOOL_CALLS\]).)*?"
    rf"(?:{_ENDS})\s*",
    re.DOTALL,
)


def split_thought(reply: str, *, opened: bool = True) -> tuple[str, str]:
    """The thought at the beginning of `reply`, with its markers, and the rest.

    Where the prompt may have `opened` a thought, the thought may lack its first marker.
    """
    found = _THOUGHT.match(reply) or (_OPENED.match(reply) if opened else None)
    end = found.end() if found else 0
    return reply[:end], reply[end:]
