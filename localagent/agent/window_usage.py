"""What fills the model's window, by part, in the tokens that the engine counts.

The prompt is cut into tokens as a whole, as the engine reads it, and each token belongs to the part
that its first byte is in; so the parts' sum is the prompt's tokens, exactly.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from localagent.agent.planners.react import tool_names, tools_text
from localagent.agent.tool_calls.parse import parse_actions
from localagent.agent.turn import Exchange, Services
from localagent.core.errors import ToolError
from localagent.models.base import Infill, Tokenised

TEMPLATE = "chat template"
SAID = "what you said"
_ORDER = (
    *("system prompt", "tools", "rules", "code", "other names", "failing tests"),
    *(SAID, "tool calls", "results", "replies", TEMPLATE),
)


@dataclass(frozen=True, slots=True)
class Window:
    """The tokens of a prompt by `parts`, those of the `reply` to it, and the model's `window`.
    Unless `exact`, the parts are estimated. `last`: it is what the model was last asked, and not
    what the next prompt begins with."""

    parts: tuple[tuple[str, int], ...]
    reply: int
    window: int
    exact: bool
    last: bool

    @property
    def prompt(self) -> int:
        """The whole prompt."""
        return sum(tokens for _, tokens in self.parts)

    @property
    def left(self) -> int:
        """What is free."""
        return max(self.window - self.prompt - self.reply, 0)


def window_of(exchange: Exchange, services: Services) -> Window:
    """What `exchange` filled. Raises BackendError, ModelNotInstalled."""
    cut = exchange.model.tokenised(exchange.request)
    known = {tools_text(services): "tools", services.fixed_rules(): "rules", **exchange.texts}
    hide = services.redactor.redact
    # Longer ones first: a short one may stand inside of a longer one, too.
    named = sorted(((hide(text), kind) for text, kind in known.items() if text), key=_longest_first)
    spans: list[tuple[int, int, str]] = []
    for (first, last), kind in zip(cut.places, _kinds(exchange, services), strict=True):
        spans += _spans(cut.text.encode("utf-8", "replace"), first, last, kind, named)
    counts = dict.fromkeys(_ORDER, 0)
    for kind in _kinds_of_tokens(cut, spans):
        counts[kind] += 1
    return Window(
        parts=tuple((kind, count) for kind, count in counts.items() if count),
        reply=exchange.usage.completion_tokens,
        window=exchange.model.info.profile.window,
        exact=cut.exact,
        last=exchange.usage.prompt_tokens > 0,
    )


def _longest_first(named: tuple[str, str]) -> int:
    return -len(named[0])


def _kinds(exchange: Exchange, services: Services) -> Iterator[str]:
    """What each message of the prompt is, but for the named texts in it."""
    prompt = exchange.request.prompt
    if isinstance(prompt, Infill):
        yield from ("code", "code")
        return
    command = services.prompts.text("react/command").partition("{{")[0]
    called = False
    for message in prompt:
        if message.role == "system":
            yield "system prompt"
        elif message.role == "assistant":
            called = _is_call(message.content, services)
            yield "tool calls" if called else "replies"
        else:
            ran = bool(command) and message.content.startswith(command)
            yield "results" if called or ran else SAID
            called = False


def _is_call(text: str, services: Services) -> bool:
    try:
        return bool(parse_actions(text, tool_names(services)))
    except ToolError:
        return True


def _spans(
    text: bytes, first: int, last: int, kind: str, named: list[tuple[str, str]]
) -> Iterator[tuple[int, int, str]]:
    """A message's text from `first` to `last`, in pieces of one kind."""
    if first >= last:
        return
    for part, its_kind in named:
        wanted = part.encode("utf-8", "replace")
        found = text.find(wanted, first, last)
        if found >= 0:
            yield from _spans(text, first, found, kind, named)
            yield (found, found + len(wanted), its_kind)
            yield from _spans(text, found + len(wanted), last, kind, named)
            return
    yield (first, last, kind)


def _kinds_of_tokens(cut: Tokenised, spans: list[tuple[int, int, str]]) -> Iterator[str]:
    """The kind of each token; `spans` in their order."""
    at = begin = 0
    for end in cut.ends:
        while at < len(spans) and spans[at][1] <= begin:
            at += 1
        inside = end > begin and at < len(spans) and spans[at][0] <= begin
        yield spans[at][2] if inside else TEMPLATE
        begin = end
