"""Compiles chat templates, and renders them in Jinja's immutable sandbox.

A template gets a frozen date in place of a clock: a prompt that changes with the time could not be
reused.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

from localagent.models.chat_templates.form import DATE

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""For models without a template: the most common form of conversation."""


# Templates are programs: their mistakes surface as Python's own errors.
_ERRORS = (TemplateError, *(TypeError, ValueError, ArithmeticError, LookupError, RecursionError))


class TemplateFailed(Exception):
    """The template cannot be compiled, or it refuses the messages."""


class _Environment(ImmutableSandboxedEnvironment):
    """Jinja's sandbox, in which a template may also fill and empty lists of its own, as Kimi's."""

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        own = type(obj) is list and attr in ("append", "pop")
        return own or super().is_safe_attribute(obj, attr, value)


class _Given(list[Any]):
    """A list that a template gets, and cannot change."""


def _given(value: Any) -> Any:
    """A value as a template gets it."""
    if isinstance(value, Mapping):
        return {key: _given(item) for key, item in value.items()}
    return _Given(map(_given, value)) if isinstance(value, list) else value


class _Value(dict[str, Any], Namespace):
    """A message as a template gets it: a few templates note something in their messages."""


class JinjaTemplate:
    """A compiled template. `constants` are variables of every rendering, such as `bos_token`."""

    def __init__(self, source: str, constants: Mapping[str, Any], date: str = DATE) -> None:
        day = datetime.datetime.fromisoformat(date)
        # Old templates of Fireworks take the tools and the date by these names.
        self._constants = {"functions": "", "datetime": day.strftime("%d %B %Y"), **constants}
        environment = _Environment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        environment.filters["tojson"] = _to_json
        environment.globals["raise_exception"] = _refuse
        environment.globals["strftime_now"] = day.strftime
        try:
            self._template = environment.from_string(source or CHATML)
        except TemplateError as error:
            raise TemplateFailed(f"the model's chat template is not valid: {error}") from None

    def render(
        self, messages: Sequence[Mapping[str, Any]], variables: Mapping[str, Any], *, last: bool
    ) -> str:
        """Render messages; with `last`, a reply comes next. Raises TemplateFailed.

        Some templates take the arguments of calls as a text of JSON only.
        """
        values = {**self._constants, **_given(variables), "add_generation_prompt": last}
        if "tools" in variables:
            values["functions"] = _to_json(variables["tools"], indent=4)
        try:
            return self._template.render(
                values, messages=_Given(_Value(_given(m)) for m in messages)
            )
        except _ERRORS as error:
            failure = TemplateFailed(f"the model's chat template failed: {error}")
        if not any("tool_calls" in message for message in messages):
            raise failure
        try:
            return self._template.render(values, messages=_Given(_as_text(m) for m in messages))
        except _ERRORS:
            raise failure from None


def _as_text(message: Mapping[str, Any]) -> _Value:
    """The message with the arguments of its calls as JSON."""
    if "tool_calls" not in message:
        return _Value(_given(message))
    calls = []
    for call in message["tool_calls"]:
        arguments = json.dumps(call["function"]["arguments"], ensure_ascii=False)
        calls.append({**call, "function": {**call["function"], "arguments": arguments}})
    return _Value(_given({**message, "tool_calls": calls}))


def _refuse(message: str) -> None:
    raise TemplateError(message)


def _to_json(
    value: object,
    indent: int | None = None,
    ensure_ascii: bool = False,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    # Jinja's own filter escapes for HTML, which models were not trained on.
    return json.dumps(
        list(value) if isinstance(value, Iterator) else value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )
