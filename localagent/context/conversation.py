"""Joins the questions of a session into one conversation, so that the model reads no text twice.

Each question continues the prompt and the answer before it, byte for byte, and adds only new code.
Each answer keeps a record of its prompt (`messages.PromptRecord`), with the hashes of the files. A
conversation is not continued once the code in its prompt has changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from localagent.context.builder import CodeExcerpt, text_of
from localagent.context.excerpt import Count, Span, merge_spans, render
from localagent.context.limits import CONTEXT
from localagent.core.errors import OutsideWorkspace
from localagent.core.messages import Message, Part
from localagent.edits.textfile import sha256
from localagent.index.base import Index
from localagent.index.query import parse_query
from localagent.workspace.workspace import Workspace

Exchange = tuple[str, str]
"""A user's message, and the final answer to the message."""


def exchanges(conversation: Sequence[Message], is_call: Callable[[str], bool]) -> list[Exchange]:
    """The exchanges of a conversation, oldest first, without tool calls or their results.

    `is_call` says whether an assistant's message contains a tool call.
    """
    result: list[Exchange] = []
    request, after_call = "", False
    for message in conversation:
        if message.role == "assistant":
            after_call = is_call(message.content)
            if not after_call and request:
                result.append((request, message.content))
                request = ""
        elif message.role == "tool":
            after_call = False
        elif message.role == "user" and not after_call:
            request = message.content
    return result


def earlier_messages(before: Sequence[Exchange], count: Count, budget: int) -> list[Message]:
    """The last exchanges that fit into `budget` tokens, as messages, oldest first."""
    messages: list[Message] = []
    for request, answer in reversed(before[-CONTEXT.exchanges :]):
        pair = [Message("user", _short(request)), Message("assistant", _short(answer))]
        budget -= sum(count(message.content) for message in pair)
        if budget < 0:
            break
        messages = [*pair, *messages]
    return messages


def with_subject(prompt: str, before: Sequence[Exchange]) -> str:
    """The index query for `prompt`; a prompt of few words is joined with the question before it.

    For example, "and where is that tested?" has too few words for a query.
    """
    if not before or len(parse_query(prompt).terms) >= CONTEXT.few_words:
        return prompt
    return f"{prompt}\n{before[-1][0]}"


def changed_files(answer: str, workspace: Workspace) -> list[str]:
    """The files that a turn changed, by its summary ("changed a.py and b.py; the check passes")."""
    summary = answer.partition("\n")[0].partition(";")[0]
    paths = (
        summary.removeprefix("changed ").split(" and ") if summary.startswith("changed ") else []
    )
    return [path for path in paths if workspace.exists(path)]


def _short(text: str) -> str:
    most = CONTEXT.exchange_chars
    return text if len(text) <= most else f"{text[:most]}…"


@dataclass(frozen=True, slots=True)
class Thread:
    """Messages that end with an answer, and the `parts` of code that the messages contain.

    The thread covers the session's first `upto` messages.
    """

    messages: tuple[Message, ...] = ()
    parts: tuple[Part, ...] = ()
    upto: int = 0


NONE = Thread()
"""The empty thread, for a question that continues no earlier one."""


def thread_of(conversation: Sequence[Message], workspace: Workspace) -> Thread:
    """The thread that the conversation's answers form; empty if its code has changed since."""
    thread = NONE
    for place, message in enumerate(conversation):
        asked = message.asked
        if asked is None:
            continue
        before = NONE if asked.anew else thread
        answer = replace(message, asked=None)
        new = (*asked.before, Message("user", asked.text), answer)
        thread = Thread((*before.messages, *new), (*before.parts, *asked.parts), place + 1)
    return thread if _is_current(thread.parts, workspace) else replace(thread, messages=())


def kinds_of(parts: Iterable[Part]) -> dict[str, str]:
    """Map each part's text to its kind, for `agent.window_usage`."""
    return {part.text: "code" if part.path else "other names" for part in parts}


def new_part(
    code: CodeExcerpt, digest: str, thread: Thread, workspace: Workspace, index: Index
) -> Part | None:
    """The part of an excerpt that the thread does not contain yet; None if nothing is new."""
    known = [span for part in thread.parts if part.path == code.path for span in part.lines]
    if not known:
        return Part(code.text, code.path, digest, code.spans)
    lines = text_of(workspace, code.path).splitlines()
    new = [
        (first, last)
        for first, last in subtract_spans(code.spans, known)
        if any(line.strip() for line in lines[first - 1 : last])
    ]
    if not new:
        return None
    spans = merge_spans(new)
    text = render(code.path, lines, index.symbols(code.path), spans)
    return Part(text, code.path, digest, tuple(spans))


def new_names(map_: str, thread: Thread) -> str:
    """The lines of a map that are about files that the thread does not mention."""
    known = "\n".join(part.text for part in thread.parts)
    return "\n".join(line for line in map_.splitlines() if line.partition(": ")[0] not in known)


def subtract_spans(spans: Iterable[Span], known: Iterable[Span]) -> list[Span]:
    """Spans of the lines in `spans` that no span of `known` contains."""
    left = list(spans)
    for first, last in known:
        cut = [((a, min(b, first - 1)), (max(a, last + 1), b)) for a, b in left]
        left = [span for pair in cut for span in pair if span[0] <= span[1]]
    return left


def _is_current(parts: Iterable[Part], workspace: Workspace) -> bool:
    """Whether the files of all parts are unchanged."""
    files = {(part.path, part.sha256) for part in parts if part.path}
    try:
        return all(sha256(workspace.read_bytes(path)) == digest for path, digest in files)
    except (OSError, OutsideWorkspace):
        return False
