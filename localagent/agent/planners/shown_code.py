"""What a model is shown when it is to answer, or to plan: what was said before, and code."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from localagent.agent.actions import parse_actions
from localagent.agent.turn import Turn
from localagent.context.builder import gather
from localagent.context.earlier import earlier, exchanges, with_subject
from localagent.errors import ToolError
from localagent.messages import Message

ANSWER_SHARE = 0.35
"""Of the window, for the code that a question is answered from: more takes a small machine longer
to read than a person waits."""
EARLIER_SHARE = 0.1
"""Of the window, for what was said before."""


def code_for(turn: Turn, named: Sequence[str]) -> tuple[list[Message], list[str]]:
    """The last exchanges, and the code that the turn's prompt is about, the best of it last:
    nearest to what is asked."""
    services = turn.services
    window = services.model.info.profile.window
    count = services.model.count
    before = exchanges(turn.conversation, partial(_is_call, tools=tuple(services.tools)))
    said = earlier(before, count, int(window * EARLIER_SHARE))
    query = with_subject(turn.prompt, before)
    budget = int(window * ANSWER_SHARE)
    found = gather(query, services.workspace, services.index, count, budget, named, saw=turn.saw)
    parts = [one.text for one in reversed(found.shown)]
    for part in parts:
        turn.shows("code", part)
    if found.map:
        parts.insert(0, services.prompts.render("workflow/map", map=found.map))
        turn.shows("other names", parts[0])
    return said, parts


def _is_call(text: str, tools: Sequence[str]) -> bool:
    try:
        return bool(parse_actions(text, tools))
    except ToolError:
        return True
