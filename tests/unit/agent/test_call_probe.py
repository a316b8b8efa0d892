"""The probe of both forms of tool calls, with a scripted model."""

from __future__ import annotations

import json
from collections.abc import Callable

from localagent.agent.call_probe import TASKS, better_form, better_planner, probe_forms
from localagent.context.prompts import Prompts
from localagent.models.base import ModelInfo, Profile
from localagent.models.chat_templates.form import TemplateForm
from localagent.models.scripted import ScriptedModel, ScriptedReply
from localagent.tools.base import model_specs
from localagent.tools.registry import standard_tools

FORM = TemplateForm(
    call_form="json",
    call_start="<tool_call>",
    call_end="</tool_call>",
    call_sample='<tool_call>{"name": "qone", "arguments": {"qkey": "qvalue"}}</tool_call>',
    results="tool",
)
TOOLS = model_specs(standard_tools())
QUOTES = "print('it\\'s \"done\"')"
LINES = "def area(w, h):\n    return w * h\n\n\nprint(area(2, 3))\n"
RIGHT = {
    "read": ("read", {"path": "src/app.py", "lines": "1-20"}),
    "quotes": (
        "edit",
        {"path": "src/app.py", "old_string": "print('hi')", "new_string": QUOTES},
    ),
    "lines": ("write", {"path": "area.py", "content": LINES}),
    "steps": ("shell", {"command": "python -m pytest -q"}),
    "stop": ("done", {"summary": "ran the tests"}),
}


def native(name: str) -> str:
    tool, arguments = RIGHT[name]
    return f"<tool_call>{json.dumps({'name': tool, 'arguments': arguments})}</tool_call>"


def fenced(name: str) -> str:
    tool, arguments = RIGHT[name]
    if tool == "edit":
        return (
            "```edit path=src/app.py\n<<<<<<< SEARCH\nprint('hi')\n=======\n"
            f"{QUOTES}\n>>>>>>> REPLACE\n```"
        )
    body = next(
        (arguments[key] for key in ("content", "command", "summary") if key in arguments), ""
    )
    pairs = "".join(f" {key}={arguments[key]}" for key in ("path", "lines") if key in arguments)
    return f"```{tool}{pairs}\n{body}\n```"


def model(*replies: str, form: TemplateForm | None = FORM) -> ScriptedModel:
    info = ModelInfo("toy", "scripted", "", Profile(), form=form)
    return ScriptedModel([ScriptedReply(reply) for reply in replies], info)


def replies(written: Callable[[str], str], wrong: int = 0) -> list[str]:
    """The right replies to all tasks, but for the first `wrong` ones."""
    return ["I would look."] * wrong + [written(task.name) for task in TASKS[wrong:]]


def test_each_form_gets_all_tasks_and_the_better_one_is_chosen() -> None:
    said: list[str] = []
    asked = model(*replies(fenced, 2), *replies(native))
    passed = probe_forms(asked, TOOLS, Prompts(), said.append)
    assert passed == {"fenced": len(TASKS) - 2, "native": len(TASKS)}
    assert better_form(passed) == "native"
    assert said[0] == "fenced, read: wrong"
    assert said[-1] == "native, stop: right"
    assert [bool(request.tools) for request in asked.requests] == [False] * 5 + [True] * 5
    made = [message for message in asked.requests[-1].prompt if message.calls]  # type: ignore[union-attr]
    assert made[0].content == (
        '<tool_call>{"name": "shell", "arguments": {"command": "python -m pytest -q"}}</tool_call>'
    )


def test_fenced_calls_stay_where_both_forms_are_as_good() -> None:
    passed = probe_forms(model(*replies(fenced), *replies(native)), TOOLS, Prompts())
    assert better_form(passed) == "fenced"


def test_a_template_without_tools_has_one_form() -> None:
    passed = probe_forms(model(*replies(fenced), form=None), TOOLS, Prompts())
    assert passed == {"fenced": len(TASKS)}
    assert better_form(passed) == "fenced"


def test_the_planner_follows_what_a_model_can_do() -> None:
    assert better_planner({"fenced": 5, "native": 2}, "workflow") == "react"
    assert better_planner({"fenced": 2, "native": 1}, "react") == "workflow"
    assert better_planner({"fenced": 3, "native": 4}, "workflow") == "workflow"
    assert better_planner({"fenced": 3, "native": 4}, "react") == "react"
