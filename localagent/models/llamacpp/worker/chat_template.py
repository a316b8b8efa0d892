"""The model's chat template: from messages to the text that the model sees.

A template is a Jinja program in the model file. It runs in Jinja's immutable sandbox, inside the
worker; the watchdog ends a template that does not return.

The text of a message must never become a control token: a source file with `<|im_end|>` in it would
end the message that quotes it. So `content` inserts BREAK into the text of each control token in a
message, and `tokenize` splits there; the tokenizer sees two halves of ordinary text. All other text
is tokenized in one piece, exactly as in the model's training, whatever the template does to it.

Templates get no clock (`strftime_now`): a prompt that changes with the time could not be reused.
They fall back to a fixed date.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from localagent.core.messages import Message

BREAK = "\ufdd0\ufdd1"
"""The place of a split before tokenizing: two code points that Unicode reserves for programs."""

_GAP = 64  # bytes of text that a tokenizer may have left out before a token
_NAME = "\ufdd2{}\ufdd3"  # stands for a message, to find the template's text around it

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""For models without a template: the most common form of conversation."""


class TemplateFailed(Exception):
    """The template cannot be compiled, or it refuses the messages."""


class ChatTemplate:
    """A model's chat template. `controls` are the texts of the vocabulary's control tokens."""

    def __init__(self, source: str, bos: str, eos: str, controls: Sequence[str]) -> None:
        self._tokens = {"bos_token": bos, "eos_token": eos}
        self.stop: tuple[str, ...] = () if source else ("<|im_end|>",)
        """The texts that end a reply, if the vocabulary has no token for that."""
        self.controls = sorted(filter(None, controls))
        # A message that contains BREAK is split inside of it, and so keeps it.
        alternatives = "|".join(map(re.escape, [BREAK, *self.controls]))
        # The lookahead finds each beginning, also of a token's text inside another's.
        self._control = re.compile(f"(?=(?:{alternatives}))(.)", re.DOTALL)
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        environment.filters["tojson"] = _to_json
        environment.globals["raise_exception"] = _refuse
        try:
            self._template = environment.from_string(source or CHATML)
        except TemplateError as error:
            raise TemplateFailed(f"the model's chat template is not valid: {error}") from None

    def content(self, text: str) -> str:
        """`text` as in a rendered prompt: with BREAK inside each text of a control token."""
        return self._control.sub(lambda match: match[1] + BREAK, text)

    def render(
        self, messages: Sequence[Message], reply_start: str = "", *, last: bool = True
    ) -> str:
        """Render the prompt's text, up to the end of `reply_start`.

        Unless these are the `last` messages, the text ends where the next message would begin. A
        template that refuses a system message gets it at the top of the first user message. Raises
        TemplateFailed.
        """
        try:
            return self._render(messages, last) + self.content(reply_start)
        except TemplateFailed:
            folded = _without_system(messages)
            if folded is None:
                raise
            return self._render(folded, last) + self.content(reply_start)

    def places(self, messages: Sequence[Message]) -> list[tuple[int, int]]:
        """The begin and end of each message's text in the text of `render`.

        A message has an empty place if the template changes more than the white space at its ends.
        Raises TemplateFailed.
        """
        named = [replace(m, content=_NAME.format(n)) for n, m in enumerate(messages)]
        contents = [self.content(message.content) for message in messages]
        return places(self.render(messages), self.render(named), contents, _NAME)

    def _render(self, messages: Sequence[Message], last: bool) -> str:
        values = [{"role": m.role, "content": self.content(m.content)} for m in messages]
        try:
            return self._template.render(
                messages=values, add_generation_prompt=last, **self._tokens
            )
        except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError) as error:
            # Templates are programs: their mistakes surface as Python's own errors.
            raise TemplateFailed(f"the model's chat template failed: {error}") from None


def tokenize(text: str, pieces: Callable[[str], list[int]]) -> list[int]:
    """The tokens of a rendered text; `pieces` tokenizes one part with its control tokens."""
    return [token for part in text.split(BREAK) if part for token in pieces(part)]


def token_ends(text: bytes, pieces: Iterable[bytes], controls: Sequence[str]) -> tuple[int, ...]:
    """The offset in `text` at which each token ends.

    `pieces` are the bytes of the tokens, none for a control token. `controls` are the texts of all
    control tokens.
    """
    known = sorted((control.encode() for control in controls), key=len, reverse=True)
    ends, at = [], 0
    for piece in pieces:
        at += _length(text, at, piece, known)
        ends.append(at)
    return tuple(ends)


def _length(text: bytes, at: int, piece: bytes, controls: Sequence[bytes]) -> int:
    """The number of bytes that a token takes in the text, from `at` on."""
    if not piece:  # one that the template does not write, such as BOS, takes none
        return next((len(one) for one in controls if text.startswith(one, at)), 0)
    if text.startswith(piece, at):
        return len(piece)
    if piece[:1] == b" " and text.startswith(piece[1:], at):  # some put a space before all text
        return len(piece) - 1
    found = text.find(piece, at, at + _GAP + len(piece))
    return found + len(piece) - at if found >= 0 else 0


def places(text: str, frame: str, contents: Sequence[str], name: str) -> list[tuple[int, int]]:
    """The begin and end of each of `contents` in `text`.

    `frame` is the same text with a name in place of each content: `name` with its number.
    """
    found: list[tuple[int, int]] = []
    at = 0
    for number, content in enumerate(contents):
        before, name_found, rest = frame.partition(name.format(number))
        start = text.find(before, at) if name_found else -1
        if start < 0:
            found.append((at, at))
            continue
        frame, start = rest, start + len(before)
        forms = (content, content.strip(), content.rstrip(), content.lstrip())
        form = next((form for form in forms if text.startswith(form, start)), "")
        at = start + len(form)
        found.append((start, at))
    return found


def _without_system(messages: Sequence[Message]) -> list[Message] | None:
    """The messages with the system's inside the first user's; None if that is impossible."""
    if len(messages) < 2 or messages[0].role != "system" or messages[1].role != "user":
        return None
    first = Message("user", f"{messages[0].content}\n\n{messages[1].content}")
    return [first, *messages[2:]]


def _refuse(message: str) -> None:
    raise TemplateError(message)


def _to_json(value: object, indent: int | None = None) -> str:
    # Jinja's own filter escapes for HTML, which models were not trained on.
    return json.dumps(value, ensure_ascii=False, indent=indent)
