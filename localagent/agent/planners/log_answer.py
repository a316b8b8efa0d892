"""Answers a question that names log files: the `logs` tool makes the digest, the model explains."""

from __future__ import annotations

import re
from collections.abc import Generator
from functools import partial

from localagent.agent.limits import LOOP
from localagent.agent.log_questions import SENTENCE, verified
from localagent.agent.model_calls import ask
from localagent.agent.planners.base import Result
from localagent.agent.planners.citations import checked
from localagent.agent.tool_calls import dispatch
from localagent.agent.turn import Turn
from localagent.core.errors import OutsideWorkspace, WorkspaceError
from localagent.core.events import Event, MessageAdded, Step
from localagent.core.messages import Message, ToolCall
from localagent.models.base import Request

_PATH = re.compile(r"[\w./@+-]*\w(?:/|\b)")
_LOG = re.compile(r"(?:\.log|\.log\.\d+|\.gz|\.export|\.jsonl|(?:^|/)logs?)/?$")


def log_paths(turn: Turn) -> list[str]:
    """The log files and folders of logs that the user's words name."""
    workspace = turn.services.workspace
    paths = []
    for word in _PATH.findall(turn.typed):
        try:
            path = workspace.relative(word)
        except OutsideWorkspace:
            continue
        if _LOG.search(path) and workspace.exists(path):
            paths.append(path)
    return list(dict.fromkeys(paths))


def answer_from_logs(turn: Turn, paths: list[str]) -> Generator[Event, None, Result]:
    """Answer from the digest of these logs. Raises WorkspaceError if they cannot be read."""
    yield Step("read", f"reading {', '.join(paths)}")
    digest = yield from dispatch.act(turn, ToolCall("logs", {"path": " ".join(paths)}))
    if not digest.ok:
        raise WorkspaceError(digest.for_model)
    prompts, question = turn.services.prompts, turn.prompt.strip()
    text = prompts.render("logs/answer", digest=digest.for_model, question=question)
    messages = (Message("user", text),)
    request = Request(messages, max_tokens=LOOP.answer_tokens, seed=turn.request.seed)
    check = partial(verified, prompt=text)
    reply = yield from checked(ask(turn, "answer", request), check, SENTENCE)
    answer = reply.text.strip() or digest.for_model
    yield MessageAdded("assistant", answer)
    return Result("answered", answer)
