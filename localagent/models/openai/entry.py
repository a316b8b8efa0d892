"""Makes the entry of models.lock for a model of a server, from what the server reports."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from localagent.core.errors import UsageError
from localagent.models import gguf
from localagent.models.catalog.lock import template_form
from localagent.models.chat_templates import inspection
from localagent.models.chat_templates.form import TemplateForm
from localagent.models.openai import pinning
from localagent.models.openai.client import OpenAiClient
from localagent.models.openai.messages import CALLS
from localagent.models.openai.pinning import ServerReport
from localagent.models.openai.protocol import OpenAiTarget
from localagent.models.openai.software import SOFTWARE
from localagent.models.server.errors import one_line
from localagent.models.server.silence import PREFILL, SILENCE

MAX_WINDOW = 32768
"""Most tokens of the window that is proposed. The server has its memory already, but a longer
prompt makes each step slower and small models worse."""

_MAX_PARALLEL = 8
# A number of billions in a model's name: "Qwen3-Coder-30B-A3B" has 30.
_BILLIONS = re.compile(r"(?<![a-z0-9.])(\d+(?:\.\d+)?)b(?![a-z])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ServerModelInfo:
    """A model of a server, as `models add` found it.

    `tools` says whether its template has a place for tools, `fim` whether it can fill in the
    middle. `parameters` is 0 where the server does not say.
    """

    report: ServerReport
    facts: dict[str, int | str]
    template_sha256: str
    form: TemplateForm
    window: int
    parallel: int
    parameters: float
    thinks: bool
    tools: bool
    fim: bool


async def examine(client: OpenAiClient, name: str, window: int = 0) -> ServerModelInfo:
    """Ask a server about its model `name`, and for a first reply.

    `window` is the user's. Raises UsageError without a name, and what `OpenAiClient.ask` raises.
    """
    if not name:
        raise await _unnamed(client)
    found = await pinning.report(client, name)
    software = SOFTWARE[found.software]
    source = found.template or _template_of(found.file)
    form, tools = _form(source)
    room = window or min(found.window or software.window, MAX_WINDOW)
    server = str(client.server)
    target = OpenAiTarget(found.name, room, server, True, software, form)
    trial = await pinning.trial(client, target, SILENCE * PREFILL)
    facts = {"software": found.software, **found.facts}
    facts |= {"answers_as": trial.answers} if trial.answers else {}
    facts |= {"counts": 1} if trial.counts else {}
    return ServerModelInfo(
        found,
        facts,
        gguf.text_sha256(source),
        form,
        room,
        min(found.slots or software.parallel, _MAX_PARALLEL),
        _parameters(found),
        trial.thinks or form.thinks,
        tools,
        await _fills_in(client, target, found),
    )


async def _unnamed(client: OpenAiClient) -> UsageError:
    """The error for a missing name, with the names that the server has."""
    names = [model.id for model in await pinning.listed(client, pinning.ANSWER)]
    hint = f"name one of its models: {one_line(', '.join(names)) or 'it has none'}"
    return UsageError(f"which model of {client.server.url}?", hint)


def _form(source: str) -> tuple[TemplateForm, bool]:
    """The form of the chat template `source`, with a server's calls; and whether it knows tools."""
    values: dict[str, Any] | None = inspection.inspect(source) if source else None
    if values is None:  # the usual names of variables; neighbors joined suit every template
        values = {"on": {"enable_thinking": True}, "off": {"enable_thinking": False}}
        return template_form({**values, "alternates": True, **CALLS}) or TemplateForm(), True
    form, tools = template_form(values) or TemplateForm(), bool(values["call_form"])
    return (replace(form, **CALLS) if tools else form), tools  # type: ignore[arg-type]


def _template_of(file: str) -> str:
    """The chat template of a model's file; "" without a file or a template."""
    try:
        return gguf.chat_template(gguf.read_metadata(Path(file))) or "" if file else ""
    except (gguf.GgufError, OSError):
        return ""


def _parameters(found: ServerReport) -> float:
    """The number of parameters that the server or the model's name says, or 0."""
    if said := found.facts.get("parameters"):
        return float(said)
    match = _BILLIONS.search(found.name)
    return float(match[1]) * 1e9 if match else 0.0


async def _fills_in(client: OpenAiClient, target: OpenAiTarget, found: ServerReport) -> bool:
    """Whether the server can fill in the middle."""
    if target.software.infill != "/completions":
        return await pinning.fills_in(client, target)
    try:
        return bool(found.file) and gguf.has_fim_tokens(Path(found.file))
    except (gguf.GgufError, OSError):
        return False
