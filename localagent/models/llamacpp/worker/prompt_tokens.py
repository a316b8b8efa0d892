"""The tokens of a request's prompt."""

from __future__ import annotations

from collections.abc import Sequence

from localagent.core.messages import Message
from localagent.models.base import Infill, RawText, Request, TokenizedPrompt
from localagent.models.chat_templates.jinja import TemplateFailed
from localagent.models.llamacpp.worker.chat_template import BREAK, token_ends, tokenize
from localagent.models.llamacpp.worker.interface import Llm, RequestFailed
from localagent.models.llamacpp.worker.kv_slots import Slots
from localagent.models.llamacpp.worker.prompt_cache import Memory, common_prefix


class PromptTokens:
    """Makes prompts of requests; earlier replies keep the tokens that `slots` hold."""

    def __init__(self, llm: Llm, slots: Slots) -> None:
        self._llm = llm
        self._slots = slots

    def prompt(self, request: Request) -> tuple[Memory, str]:
        """The tokens of a prompt, and the beginning of a thought that they end with."""
        prompt = request.prompt
        if isinstance(prompt, RawText):
            tokens = [*self._llm.begin, *self._llm.tokenize(prompt.text, special=False)]
            if prompt.branch is not None:
                place, token = prompt.branch
                tokens = [*tokens[:place], token]
            return Memory(tokens), ""
        if not isinstance(prompt, Infill):
            text, opening = self._render(prompt, request)
            return self._slots.memory(text, self._tokens), opening
        if self._llm.fim is None:
            raise RequestFailed(
                "backend",
                "the model was not trained to fill in the middle",
                "choose a model whose profile says fim = true",
            )
        before, after, middle = self._llm.fim
        plain = [
            self._llm.tokenize(part, special=False)
            for part in (prompt.prefix, prompt.suffix, request.reply_start)
        ]
        tokens = [*self._llm.begin, before, *plain[0], after, *plain[1], middle, *plain[2]]
        return Memory(tokens), ""

    def prefix(self, request: Request, messages: Sequence[Message], tokens: Sequence[int]) -> int:
        """How many of a prompt's `tokens` are the prompt's first `messages`; or 0."""
        try:
            text = self._llm.template.render(messages, last=False, tools=request.tools)
        except TemplateFailed:
            return 0
        return common_prefix(self._slots.memory(text, self._tokens).tokens, tokens)

    def detailed(self, request: Request) -> TokenizedPrompt:
        """Make the prompt of a request, with the tokens that a generation would read now."""
        (memory, _), prompt = self.prompt(request), request.prompt
        if isinstance(prompt, RawText):
            text = prompt.text
            places = [(0, len(text))]
        elif isinstance(prompt, Infill):
            parts = (prompt.prefix, prompt.suffix, request.reply_start)
            text, middle = "".join(parts), len(parts[0])
            places = [(0, middle), (middle, middle + len(parts[1]))]
        else:
            text, _ = self._render(prompt, request)
            places = self._llm.template.places(prompt)
        plain = text.replace(BREAK, "")
        ends = token_ends(
            plain.encode(), map(self._llm.piece, memory.tokens), self._llm.template.controls
        )
        inside = [(_plain_size(text[:first]), _plain_size(text[:last])) for first, last in places]
        return TokenizedPrompt(plain, ends, tuple(inside))

    def _render(self, messages: Sequence[Message], request: Request) -> tuple[str, str]:
        """The text of a prompt, and the beginning of a thought that it ends with.

        That is "" for a template that opens the thought itself.
        """
        template = self._llm.template
        think = request.think > 0 and template.form.thinks
        try:
            start = request.reply_start
            text = template.render(messages, start, think=think, tools=request.tools)
        except TemplateFailed as error:
            raise RequestFailed("backend", str(error)) from None
        start = template.form.thought_start
        opening = start if think and not text.rstrip().endswith(start) else ""
        return text + opening, opening

    def _tokens(self, text: str, first: bool) -> list[int]:
        """The tokens of a rendered text; `first` if it begins the prompt."""
        tokens = tokenize(text, lambda part: self._llm.tokenize(part, special=True))
        # Most templates write the BOS token themselves, where the model has one.
        begin = list(self._llm.begin) if first else []
        return tokens if tokens[: len(begin)] == begin else begin + tokens


def _plain_size(text: str) -> int:
    """The bytes of a text without BREAK."""
    return len(text.replace(BREAK, "").encode())
