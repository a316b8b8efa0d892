"""The model's chat template in the worker: prompts whose messages hold no control tokens.

A template is a Jinja program in the model file. It runs in Jinja's immutable sandbox, inside the
worker; the watchdog ends a template that does not return.

The text of a message must never become a control token: a source file with `<|im_end|>` in it would
end the message that quotes it. So `content` inserts BREAK into the text of each control token in a
message, and `tokenize` splits there; the tokenizer sees two halves of ordinary text. All other text
is tokenized in one piece, exactly as in the model's training, whatever the template does to it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from localagent.core.messages import Message
from localagent.models.chat_templates.form import TemplateForm, Variable
from localagent.models.chat_templates.jinja import JinjaTemplate, TemplateFailed
from localagent.models.chat_templates.probe import probe
from localagent.models.chat_templates.render import PromptRenderer

BREAK = "\ufdd0\ufdd1"
"""The place of a split before tokenizing: two code points that Unicode reserves for programs."""

_GAP = 64  # bytes of text that a tokenizer may have left out before a token
_NAME = "\ufdd2{}\ufdd3"  # stands for a message, to find the template's text around it


class ChatTemplate:
    """A model's chat template. `controls` are the texts of the vocabulary's control tokens.

    `form` is the pinned form of the template (default: found out now). `variables` are the
    profile's, `ends` the texts of the tokens that end a reply. Raises TemplateFailed for a
    template that is no valid program.
    """

    def __init__(
        self,
        source: str,
        bos: str,
        eos: str,
        controls: Sequence[str],
        form: TemplateForm | None = None,
        variables: Mapping[str, Variable] | None = None,
        ends: Sequence[str] = (),
    ) -> None:
        self.stop: tuple[str, ...] = () if source else ("<|im_end|>",)
        """The texts that end a reply, if the vocabulary has no token for that."""
        self.controls = sorted(filter(None, controls))
        self.form = form or _probed(source)
        form = self.form
        own = f"{form.thought_start} {form.thought_end} {form.unthinking} {form.call_sample}"
        live = {control for control in self.controls if control in own and control not in ends}
        self._control = _beginnings(self.controls)
        self._other_control = _beginnings([c for c in self.controls if c not in live])
        template = JinjaTemplate(source, {"bos_token": bos, "eos_token": eos}, self.form.date)
        self._renderer = PromptRenderer(
            template, self.form, variables, self.content, self.reply, ends
        )

    def content(self, text: str) -> str:
        """`text` as in a rendered prompt: with BREAK inside each text of a control token."""
        return self._control.sub(lambda match: match[1] + BREAK, text)

    def reply(self, text: str) -> str:
        """A thought or reply as in a rendered prompt: markers of thoughts and calls stay tokens."""
        return self._other_control.sub(lambda match: match[1] + BREAK, text)

    def render(
        self,
        messages: Sequence[Message],
        reply_start: str = "",
        *,
        last: bool = True,
        think: bool = False,
        tools: str = "",
    ) -> str:
        """Render the prompt's text, up to the end of `reply_start`.

        Unless these are the `last` messages, the text ends where the next message would begin. With
        `think`, the reply may begin with a thought. `tools` are schemas in JSON. Raises
        TemplateFailed.
        """
        schemas = json.loads(tools) if tools else ()
        text = self._renderer.render(messages, last=last, think=think, tools=schemas)
        return text + self.content(reply_start)

    def places(self, messages: Sequence[Message]) -> list[tuple[int, int]]:
        """The begin and end of each message's text in the text of `render`.

        A message has an empty place if the template changes more than the white space at its ends.
        Raises TemplateFailed.
        """
        named = [replace(m, content=_NAME.format(n)) for n, m in enumerate(messages)]
        contents = [self.content(message.content) for message in messages]
        return places(self.render(messages), self.render(named), contents, _NAME)


def _probed(source: str) -> TemplateForm:
    """The form of a template; the plain form for one that renders no conversation of many turns."""
    try:
        return probe(source)
    except TemplateFailed:
        return TemplateForm()


def _beginnings(controls: Sequence[str]) -> re.Pattern[str]:
    """Matches the first character of each control token, also of one inside of another's text.

    A message that contains BREAK is split inside of it, and so keeps it.
    """
    alternatives = "|".join(map(re.escape, [BREAK, *controls]))
    return re.compile(f"(?=(?:{alternatives}))(.)", re.DOTALL)


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
