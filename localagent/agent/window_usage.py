"""The use of the model's window: tokens for each part of the prompt, as the engine counts them.

The engine splits the whole prompt into tokens. Each token counts for the part that contains the
token's first byte, so the parts add up to the prompt's exact size.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from localagent.agent.planners.react import tool_specs, tools_text
from localagent.agent.tool_calls.parse import has_call
from localagent.agent.turn import Exchange, Services
from localagent.models.base import Infill, RawText, TokenizedPrompt

TEMPLATE = "chat template"
SAID = "what you said"
_ORDER = (
    *("system prompt", "tools", "rules", "code", "other names", "failing tests"),
    *(SAID, "tool calls", "results", "replies", TEMPLATE),
)


@dataclass(frozen=True, slots=True)
class Window:
    """Numbers of tokens: each of a prompt's `parts`, its `reply`, and the model's `window`.

    `exact` is False if the parts are estimates. `last` is True for the last request, and False for
    the start of the next request.
    """

    parts: tuple[tuple[str, int], ...]
    reply: int
    window: int
    exact: bool
    last: bool

    @property
    def prompt(self) -> int:
        """The tokens of the whole prompt."""
        return sum(tokens for _, tokens in self.parts)

    @property
    def left(self) -> int:
        """The free tokens of the window."""
        return max(self.window - self.prompt - self.reply, 0)


def window_of(exchange: Exchange, services: Services) -> Window:
    """Measure an exchange's use of the window. Raises BackendError, ModelNotInstalled."""
    cut = exchange.model.tokenize(exchange.request)
    kinds = {tools_text(services): "tools", services.fixed_rules(): "rules", **exchange.texts}
    redact = services.redactor.redact
    # Longer texts come first, because a longer text may contain a shorter one.
    texts = sorted(
        ((redact(text), kind) for text, kind in kinds.items() if text), key=lambda t: -len(t[0])
    )
    spans: list[tuple[int, int, str]] = []
    for (first, last), kind in zip(cut.places, _message_kinds(exchange, services), strict=True):
        spans += _spans(cut.text.encode("utf-8", "replace"), first, last, kind, texts)
    counts = dict.fromkeys(_ORDER, 0)
    for kind in _token_kinds(cut, spans):
        counts[kind] += 1
    return Window(
        parts=tuple((kind, count) for kind, count in counts.items() if count),
        reply=exchange.usage.completion_tokens,
        window=exchange.model.info.profile.window,
        exact=cut.exact,
        last=exchange.usage.prompt_tokens > 0,
    )


def _message_kinds(exchange: Exchange, services: Services) -> Iterator[str]:
    """The kind of each message of the prompt, apart from known texts inside the message."""
    prompt = exchange.request.prompt
    if isinstance(prompt, Infill):
        yield from ("code", "code")
        return
    if isinstance(prompt, RawText):
        yield "code"
        return
    command = services.prompts.text("react/command").partition("{{")[0]
    tools, after_call = tool_specs(services), False
    for message in prompt:
        if message.role == "system":
            yield "system prompt"
        elif message.role == "assistant":
            after_call = has_call(message.content, tools)
            yield "tool calls" if after_call else "replies"
        elif message.role == "tool":
            yield "results"
        else:
            is_output = bool(command) and message.content.startswith(command)
            yield "results" if after_call or is_output else SAID
            after_call = False


def _spans(
    text: bytes, first: int, last: int, kind: str, known: list[tuple[str, str]]
) -> Iterator[tuple[int, int, str]]:
    """Split the bytes of a message from `first` to `last` into pieces of one kind each."""
    if first >= last:
        return
    for part, its_kind in known:
        data = part.encode("utf-8", "replace")
        at = text.find(data, first, last)
        if at >= 0:
            yield from _spans(text, first, at, kind, known)
            yield (at, at + len(data), its_kind)
            yield from _spans(text, at + len(data), last, kind, known)
            return
    yield (first, last, kind)


def _token_kinds(cut: TokenizedPrompt, spans: list[tuple[int, int, str]]) -> Iterator[str]:
    """The kind of each token; `spans` are in ascending order."""
    at = begin = 0
    for end in cut.ends:
        while at < len(spans) and spans[at][1] <= begin:
            at += 1
        inside = end > begin and at < len(spans) and spans[at][0] <= begin
        yield spans[at][2] if inside else TEMPLATE
        begin = end
