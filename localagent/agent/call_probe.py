"""Finds out which form of tool calls a model follows better: localagent's or its own.

Each form gets the same short tasks, with a conversation that is made up. A task counts if the first
call is right to the letter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from localagent.agent.planners.react import act_request, is_native, system_text
from localagent.agent.tool_calls.parse import parse_actions
from localagent.context.prompts import Prompts
from localagent.core.errors import ToolError
from localagent.core.messages import Message, ToolCall
from localagent.models.base import Model, ModelInfo, Text, sampled
from localagent.tools.base import DONE, ToolSpecs

Form = Literal["fenced", "native"]

PROBE_TOKENS = 300
"""Longest reply to a task of the probe: the longest right call has 80 tokens."""

_LINES = "def area(w, h):\n    return w * h\n\n\nprint(area(2, 3))\n"
_QUOTES = "print('it\\'s \"done\"')"


@dataclass(frozen=True, slots=True)
class ProbeTask:
    """A task, the results of calls that were made before, and whether a call is right."""

    name: str
    prompt: str
    passes: Callable[[ToolCall], bool]
    before: tuple[tuple[ToolCall, str], ...] = ()


_JSON = '{"name": "qone", "arguments": {"qkey": "qvalue"}}'


def _call(name: str, **arguments: str) -> ToolCall:
    return ToolCall(name, arguments)


def _changes(call: ToolCall, text: str) -> bool:
    return call.name in ("edit", "write") and text in call.arguments.get("body", "")


TASKS = (
    ProbeTask(
        "read",
        "Show me lines 1 to 20 of src/app.py.",
        lambda c: c.name == "read" and c.arguments.get("path") == "src/app.py",
    ),
    ProbeTask(
        "quotes",
        f"In src/app.py, replace the line print('hi') by {_QUOTES}",
        lambda c: _changes(c, _QUOTES),
        ((_call("read", path="src/app.py"), "1  print('hi')"),),
    ),
    ProbeTask(
        "lines",
        f"Write a new file area.py with exactly this content:\n{_LINES}",
        lambda c: c.name == "write" and c.arguments.get("body", "").strip() == _LINES.strip(),
    ),
    ProbeTask(
        "steps",
        "Read src/app.py, then run the command: python -m pytest -q",
        lambda c: c.name == "shell" and "pytest" in c.arguments.get("body", ""),
        ((_call("read", path="src/app.py"), "1  x = 1"),),
    ),
    ProbeTask(
        "stop",
        "Run the command: python -m pytest -q",
        lambda c: c.name == DONE.name,
        ((_call("shell", body="python -m pytest -q"), "exit code 0\n3 passed"),),
    ),
)


def probe_forms(
    model: Model,
    tools: ToolSpecs,
    prompts: Prompts,
    report: Callable[[str], None] = lambda _text: None,
) -> dict[Form, int]:
    """How many of the tasks the model does in each form. Raises BackendError.

    `report` gets a line for each task.
    """
    template = model.info.form
    forms: tuple[Form, ...] = (
        ("fenced", "native") if template and template.call_form else ("fenced",)
    )
    passed: dict[Form, int] = {}
    for form in forms:
        info = replace(model.info, profile=replace(model.info.profile, calls=form))
        passed[form] = 0
        for task in TASKS:
            right = _passes(model, info, tools, prompts, task)
            passed[form] += right
            report(f"{form}, {task.name}: {'right' if right else 'wrong'}")
    return passed


def better_planner(passed: Mapping[Form, int], present: str) -> str:
    """The planner for a model that did so many tasks in each form; `present` if they do not tell.

    A model that does all tasks in a form can plan. One that does less than half of them cannot.
    """
    best = max(passed.values(), default=0)
    if best == len(TASKS):
        return "react"
    return "workflow" if 2 * best < len(TASKS) else present


def better_form(passed: Mapping[Form, int]) -> Form:
    """The form with more tasks; fenced if both have as many, because a grammar holds all of it."""
    return "native" if passed.get("native", 0) > passed["fenced"] else "fenced"


def _passes(
    model: Model, info: ModelInfo, tools: ToolSpecs, prompts: Prompts, task: ProbeTask
) -> bool:
    """Whether the first call of the model's reply is right."""
    system = system_text(info, tools, prompts)
    messages = [Message("system", system), Message("user", task.prompt)]
    for call, result in task.before:
        text = prompts.render("react/result", tool=call.name, result=result)
        messages += _exchange(info, call, text)
    blank = act_request(info, tools, prompts)
    request = replace(blank, prompt=tuple(messages), max_tokens=PROBE_TOKENS)
    chunks = model.generate(sampled(request, info.profile))
    reply = "".join(chunk.text for chunk in chunks if isinstance(chunk, Text))
    try:
        calls = parse_actions(reply, tools)
    except ToolError:
        return False
    return bool(calls) and task.passes(calls[0])


def _exchange(info: ModelInfo, call: ToolCall, result: str) -> tuple[Message, Message]:
    """A call that the model has made, in a form, and its result."""
    if info.form is not None and is_native(info):
        sample = (info.form.call_sample or _JSON).replace("qone", call.name)
        key, value = next(iter(call.arguments.items()))
        content = sample.replace("qkey", "command" if key == "body" else key)
        return (
            Message("assistant", content.replace("qvalue", value), calls=(call.name,)),
            Message("tool", result),
        )
    body = call.arguments.get("body", "")
    pairs = "".join(f" {key}={value}" for key, value in call.arguments.items() if key != "body")
    block = f"```{call.name}{pairs}\n{body}\n```" if body else f"```{call.name}{pairs}\n```"
    return Message("assistant", block), Message("user", result)
