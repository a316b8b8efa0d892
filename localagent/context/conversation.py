"""The questions of a session as one conversation: the model reads nothing twice.

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
"""A message of the user's, and the final answer to it."""


def exchanges(conversation: Sequence[Message], is_call: Callable[[str], bool]) -> list[Exchange]:
    """The exchanges of a conversation, oldest first, without tool calls and their results.

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
    """A query for `prompt`, with the question before it if the prompt has few words of its own.

    An example is "and where is that tested?".
    """
    if not before or len(parse_query(prompt).terms) >= CONTEXT.few_words:
        return prompt
    return f"{prompt}\n{before[-1][0]}"


def _short(text: str) -> str:
    most = CONTEXT.exchange_chars
    return text if len(text) <= most else f"{text[:most]}…"


@dataclass(frozen=True, slots=True)
class Thread:
    """Messages that end with an answer, and the `parts` that they contain.

    `upto` is the number of the session's messages that the thread covers.
    """

    messages: tuple[Message, ...] = ()
    parts: tuple[Part, ...] = ()
    upto: int = 0


NONE = Thread()
"""The thread of a question that starts anew."""


def thread_of(conversation: Sequence[Message], workspace: Workspace) -> Thread:
    """The thread of a conversation's answers; without messages if its code has changed since."""
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
    """The kind of each part's text, for `agent.window_usage`."""
    return {part.text: "code" if part.path else "other names" for part in parts}


def new_part(
    code: CodeExcerpt, digest: str, thread: Thread, workspace: Workspace, index: Index
) -> Part | None:
    """The part of an excerpt that the thread does not contain; None if it contains all of it."""
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
    """The lines of a map for files that the thread does not mention."""
    known = "\n".join(part.text for part in thread.parts)
    return "\n".join(line for line in map_.splitlines() if line.partition(": ")[0] not in known)


def subtract_spans(spans: Iterable[Span], known: Iterable[Span]) -> list[Span]:
    """The lines of `spans` that no span of `known` contains, as spans."""
    left = list(spans)
    for first, last in known:
        cut = [((a, min(b, first - 1)), (max(a, last + 1), b)) for a, b in left]
        left = [span for pair in cut for span in pair if span[0] <= span[1]]
    return left


def _is_current(parts: Iterable[Part], workspace: Workspace) -> bool:
    """Whether the parts' files are unchanged."""
    files = {(part.path, part.sha256) for part in parts if part.path}
    try:
        return all(sha256(workspace.read_bytes(path)) == digest for path, digest in files)
    except (OSError, OutsideWorkspace):
        return False
