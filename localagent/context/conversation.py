"""The questions of a session as one conversation with the model: it reads nothing twice.

Each question goes on from the prompt and the answer before it, byte for byte, and brings only the
code that was not shown yet. What was shown is taken down with each answer (`messages.Asked`), with
the hash of the file, so that a thread is not gone on with where the code has changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from localagent.context.builder import Shown, text_of
from localagent.context.excerpt import Count, Span, joined, render
from localagent.core.errors import OutsideWorkspace
from localagent.core.messages import Message, Part
from localagent.edits.textfile import sha256
from localagent.index.base import Index
from localagent.index.query import parse_query
from localagent.workspace.workspace import Workspace

EXCHANGES = 2
_CHARS = 800  # of one message
_FEW_WORDS = 4

Exchange = tuple[str, str]
"""What the user said, and what was said to it in the end."""


def exchanges(conversation: Sequence[Message], is_call: Callable[[str], bool]) -> list[Exchange]:
    """The exchanges of a conversation, oldest first. `is_call` tells of an assistant's message
    whether a tool is called in it: such messages, and the results after them, are left out."""
    found: list[Exchange] = []
    asked, result = "", False
    for message in conversation:
        if message.role == "assistant":
            result = is_call(message.content)
            if not result and asked:
                found.append((asked, message.content))
                asked = ""
        elif message.role == "user" and not result:
            asked = message.content
    return found


def earlier(before: Sequence[Exchange], count: Count, budget: int) -> list[Message]:
    """The last exchanges that fit into `budget` tokens, as messages, oldest first."""
    found: list[Message] = []
    for asked, said in reversed(before[-EXCHANGES:]):
        pair = [Message("user", _short(asked)), Message("assistant", _short(said))]
        budget -= sum(count(message.content) for message in pair)
        if budget < 0:
            break
        found = [*pair, *found]
    return found


def with_subject(prompt: str, before: Sequence[Exchange]) -> str:
    """`prompt` for a search: with the question before it, where it has few words of its own, as in
    "and where is that tested?"."""
    if not before or len(parse_query(prompt).terms) >= _FEW_WORDS:
        return prompt
    return f"{prompt}\n{before[-1][0]}"


def _short(text: str) -> str:
    return text if len(text) <= _CHARS else f"{text[:_CHARS]}…"


@dataclass(frozen=True, slots=True)
class Thread:
    """The `messages` so far, the last of them an answer, and the `parts` shown in them. `upto` is
    how many messages of the session's conversation it covers."""

    messages: tuple[Message, ...] = ()
    parts: tuple[Part, ...] = ()
    upto: int = 0


NONE = Thread()
"""For a question that is put anew."""


def thread_of(conversation: Sequence[Message], workspace: Workspace) -> Thread:
    """The thread that a conversation's answers make. Where the code in it has changed meanwhile it
    has no messages any more."""
    thread = NONE
    for place, message in enumerate(conversation):
        asked = message.asked
        if asked is None:
            continue
        before = NONE if asked.anew else thread
        answer = replace(message, asked=None)
        new = (*asked.before, Message("user", asked.text), answer)
        thread = Thread((*before.messages, *new), (*before.parts, *asked.parts), place + 1)
    return thread if _unchanged(thread.parts, workspace) else replace(thread, messages=())


def kinds_of(parts: Iterable[Part]) -> dict[str, str]:
    """What the texts of parts are, for `agent.window`."""
    return {part.text: "code" if part.path else "other names" for part in parts}


def unseen(
    shown: Shown, digest: str, thread: Thread, workspace: Workspace, index: Index
) -> Part | None:
    """What the thread does not have yet of a file; None where it has all of it."""
    known = [span for part in thread.parts if part.path == shown.path for span in part.lines]
    if not known:
        return Part(shown.text, shown.path, digest, shown.spans)
    lines = text_of(workspace, shown.path).splitlines()
    left = [
        (first, last)
        for first, last in without(shown.spans, known)
        if any(line.strip() for line in lines[first - 1 : last])
    ]
    if not left:
        return None
    spans = joined(left)
    text = render(shown.path, lines, index.symbols(shown.path), spans)
    return Part(text, shown.path, digest, tuple(spans))


def unseen_names(map_: str, thread: Thread) -> str:
    """The lines of a map of whose files nothing was told in the thread."""
    told = "\n".join(part.text for part in thread.parts)
    return "\n".join(line for line in map_.splitlines() if line.partition(": ")[0] not in told)


def without(spans: Iterable[Span], known: Iterable[Span]) -> list[Span]:
    """The lines of `spans` that are in none of `known`, as spans."""
    left = list(spans)
    for first, last in known:
        cut = [((a, min(b, first - 1)), (max(a, last + 1), b)) for a, b in left]
        left = [span for pair in cut for span in pair if span[0] <= span[1]]
    return left


def _unchanged(parts: Iterable[Part], workspace: Workspace) -> bool:
    """Whether the files are still as they were shown."""
    shown: Mapping[tuple[str, str], None] = {(p.path, p.sha256): None for p in parts if p.path}
    try:
        return all(sha256(workspace.read_bytes(path)) == digest for path, digest in shown)
    except (OSError, OutsideWorkspace):
        return False
