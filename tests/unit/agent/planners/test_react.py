"""The react planner with a scripted model: calls, stumbles, and when a "done" counts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from localagent.agent.limits import LOOP
from localagent.agent.planners.base import Result
from localagent.agent.planners.react import React, tool_specs
from localagent.agent.turn import Turn
from localagent.core.events import (
    Event,
    MessageAdded,
    ModelReplied,
    Steered,
    Step,
    ThoughtDelta,
    ToolReturned,
)
from localagent.models.base import ModelInfo, Profile
from localagent.models.chat_templates.form import TemplateForm
from localagent.models.scripted import ScriptedModel, ScriptedReply
from localagent.sandbox.base import CommandResult
from localagent.tools.registry import standard_tools
from tests.doubles.scripted_sandbox import ScriptedSandbox, completed, python_check
from tests.doubles.scripted_turn import run_events, scripted_turn

WRONG = "def add(a, b):\n    return a - b\n"
CASES = {"test_small": ("add(0, 0)", 0), "test_add": ("add(2, 30)", 32)}
READ = "```read path=calc.py\n```"
EDIT = (
    "```edit path=calc.py\n<<<<<<< SEARCH\n    return a - b\n=======\n    return a + b\n"
    ">>>>>>> REPLACE\n```"
)
DONE = "```done\nfixed the sign\n```"
TOOLS = standard_tools()


def turn_in(
    folder: Path,
    replies: Sequence[str | ScriptedReply],
    prompt: str = "",
    code: str = WRONG,
    cases: Mapping[str, tuple[str, object]] = CASES,
    **more: Any,
) -> Turn:
    (folder / "calc.py").write_text(code)
    sandbox = ScriptedSandbox(python_check("calc.py", cases))
    prompt = prompt or "Fix calc.py"
    request = {"check": "pytest"}
    return scripted_turn(
        folder, prompt, replies=replies, sandbox=sandbox, tools=TOOLS, request=request, **more
    )


def plan(turn: Turn) -> tuple[list[Event], Result]:
    return run_events(React().plan(turn))


def told(events: Sequence[Event]) -> list[str]:
    return [e.content for e in events if isinstance(e, MessageAdded) and e.role == "user"]


def test_calls_until_the_check_passes(tmp_path: Path) -> None:
    events, result = plan(turn_in(tmp_path, [READ, EDIT, DONE]))
    assert (result.outcome, result.summary) == ("solved", "fixed the sign")
    assert [e.tool for e in events if isinstance(e, ToolReturned)] == ["read", "edit"]
    assert "return a + b" in (tmp_path / "calc.py").read_text()


@pytest.mark.parametrize(
    ("case", "outcome"), [("double(2)", "solved"), ("add(2, 2)", "unverified")]
)
def test_a_change_that_no_test_runs_is_unverified(tmp_path: Path, case: str, outcome: str) -> None:
    before = "def add(a, b):\n    return a + b\n\n\ndouble = (lambda a: a * 2)\n"
    after = "def add(a, b):\n    return a + b\n\n\ndef double(a):\n    return a + a\n"
    write = f"```write path=calc.py\n{after}```"
    turn = turn_in(tmp_path, [write, DONE], "Name it in calc.py", before, {"test_it": (case, 4)})
    _, result = plan(turn)
    assert (result.outcome, turn.changed) == (outcome, ["calc.py"])
    assert ("no test runs the change" in result.summary) == (outcome == "unverified")


def test_a_check_that_ends_before_its_tests_verifies_nothing(tmp_path: Path) -> None:
    """The changed code ends the test runner with 0, as `os._exit(0)` does."""
    turn = turn_in(tmp_path, [EDIT.replace("+ b", "+ 0"), DONE])
    checked = python_check("calc.py", CASES)

    def ends_early(line: str, files: Mapping[str, str]) -> CommandResult:
        return completed() if "a + 0" in files["calc.py"] else checked(line, files)

    turn.services = replace(turn.services, sandbox=ScriptedSandbox(ends_early))
    _, result = plan(turn)
    silent = "fixed the sign (the check passes, but it reports no passed test any more)"
    assert (result.outcome, result.summary) == ("unverified", silent)


def test_a_done_before_the_check_passes_is_refused(tmp_path: Path) -> None:
    turn = turn_in(tmp_path, [DONE, EDIT, DONE])
    events, result = plan(turn)
    assert result.outcome == "solved"
    assert "assert -28 == 32" in told(events)[0]


def test_the_conversation_only_grows(tmp_path: Path) -> None:
    turn = turn_in(tmp_path, [READ, EDIT, DONE])
    plan(turn)
    prompts: list[str] = turn.services.model.prompts  # type: ignore[attr-defined]
    starts = [prompt.removesuffix("<assistant>\n") for prompt in prompts]
    assert all(after.startswith(before) for before, after in pairwise(starts))


def test_a_repeated_call_is_a_stumble(tmp_path: Path) -> None:
    events, result = plan(turn_in(tmp_path, [ScriptedReply(READ, repeat=True)]))
    assert result.outcome == "unsolved"
    assert "no progress" in result.summary
    assert len([e for e in events if isinstance(e, ToolReturned)]) == 1
    assert len([e for e in events if isinstance(e, Step) and e.name == "think"]) == (
        1 + LOOP.stumbles
    )


def test_text_without_a_call_is_no_answer_to_a_task(tmp_path: Path) -> None:
    events, result = plan(
        turn_in(tmp_path, [ScriptedReply("I would change the sign.", repeat=True)])
    )
    assert result.outcome == "unsolved"
    assert len(told(events)) == LOOP.stumbles


def test_text_without_a_call_gets_an_example_of_one(tmp_path: Path) -> None:
    events, result = plan(turn_in(tmp_path, ["I would fix it.", EDIT, DONE]))
    assert result.outcome == "solved"
    assert "no tool call" in told(events)[0]


def test_claims_without_work_are_not_solved(tmp_path: Path) -> None:
    turn = turn_in(tmp_path, [DONE] * LOOP.stumbles)
    _, result = plan(turn)
    assert (result.outcome, turn.changed) == ("unsolved", [])


def test_a_json_call_is_understood(tmp_path: Path) -> None:
    call = '<tool_call>{"name": "read", "arguments": {"path": "calc.py"}}</tool_call>'
    events, result = plan(turn_in(tmp_path, [call, EDIT, DONE]))
    assert [e.ok for e in events if isinstance(e, ToolReturned)] == [True, True]
    assert result.outcome == "solved"


def test_a_command_that_was_cut_off_is_not_run(tmp_path: Path) -> None:
    endless = "```shell\n" + "".join(f"touch made-{n}\n" for n in range(2000))
    turn = turn_in(tmp_path, [endless, EDIT, DONE])
    events, result = plan(turn)
    assert result.outcome == "solved"
    assert "your shell was cut off" in told(events)[0]
    assert set(turn.services.sandbox.commands) == {"pytest"}  # type: ignore[attr-defined]


def test_a_conversation_that_cannot_be_made_to_fit_ends_plainly(tmp_path: Path) -> None:
    turn = turn_in(tmp_path, [DONE], "Fix calc.py\n" + "and so on " * 900, window=1300)
    _, result = plan(turn)
    assert result.outcome == "unsolved"
    assert "no longer fits the window" in result.summary


def test_text_without_a_call_answers_a_question(tmp_path: Path) -> None:
    turn = turn_in(tmp_path, ["It subtracts."], "What does add do?")
    _, result = plan(turn)
    assert (result.outcome, result.summary) == ("answered", "It subtracts.")


def test_changes_that_pass_count_without_a_done(tmp_path: Path) -> None:
    turn = turn_in(tmp_path, [EDIT, ScriptedReply("Well.", repeat=True)])
    _, result = plan(turn)
    assert (result.outcome, result.how) == ("solved", "tool calls")


def test_what_the_user_says_meanwhile_joins(tmp_path: Path) -> None:
    turn = turn_in(tmp_path, [READ, EDIT, DONE])
    said = [["keep the name"], [], []]
    turn.steering = lambda: said.pop(0)
    events, _ = plan(turn)
    assert [e.text for e in events if isinstance(e, Steered)] == ["keep the name"]
    assert "keep the name" in told(events)[0]


def test_a_long_conversation_is_compacted(tmp_path: Path) -> None:
    reads = [f"```read path=note{n}.md\n```" for n in range(6)]
    for n in range(6):
        (tmp_path / f"note{n}.md").write_text(f"note {n}\n" * 150)
    turn = turn_in(tmp_path, [*reads, EDIT, DONE], window=4040)
    events, result = plan(turn)
    assert result.outcome == "solved"
    steps = [e.detail for e in events if isinstance(e, Step) and e.name == "compact"]
    assert steps
    assert all(detail.startswith("context compacted: ") for detail in steps)
    last: str = turn.services.model.prompts[-1]  # type: ignore[attr-defined]
    assert "The result of read path=note0.md was left out" in last
    assert "Fix calc.py" in last


THOUGHT = "<think>the sign is wrong</think>"


def test_a_thought_stays_in_the_conversation_and_out_of_the_reply(tmp_path: Path) -> None:
    replies = [ScriptedReply(each, thought=THOUGHT) for each in (READ, EDIT, DONE)]
    turn = turn_in(tmp_path, replies, think=100)
    events, result = plan(turn)
    assert (result.outcome, result.summary) == ("solved", "fixed the sign")
    added = [e for e in events if isinstance(e, MessageAdded) and e.role == "assistant"]
    assert {e.thought for e in added} == {THOUGHT}
    assert [e.content for e in added] == [READ, EDIT, DONE]
    prompts: list[str] = turn.services.model.prompts  # type: ignore[attr-defined]
    assert f"<assistant>\n{THOUGHT}{READ}" in prompts[-1]
    last = [e for e in events if isinstance(e, ModelReplied)][-1]
    assert (last.text, last.thought) == (DONE, THOUGHT)
    assert 0 < last.thought_tokens < last.completion_tokens


def test_steps_have_no_thought_where_only_plans_may(tmp_path: Path) -> None:
    replies = [ScriptedReply(each, thought=THOUGHT) for each in (EDIT, DONE)]
    turn = turn_in(tmp_path, replies, think=100, think_for="plans")
    events, _ = plan(turn)
    assert not any(e.thought for e in events if isinstance(e, ModelReplied))


def test_a_thought_that_repeats_itself_is_stopped(tmp_path: Path) -> None:
    endless = ScriptedReply("", thought="but wait, " * 300)
    turn = turn_in(tmp_path, [endless, EDIT, DONE], think=5000)
    events, result = plan(turn)
    assert result.outcome == "solved"
    assert len("".join(e.text for e in events if isinstance(e, ThoughtDelta))) < 2000


def test_several_calls_of_a_reply_are_carried_out_in_their_order(tmp_path: Path) -> None:
    read = '<tool_call>{"name": "read", "arguments": {"path": "calc.py"}}</tool_call>'
    write = (
        "<tool_call>\n<function=write>\n<parameter=path>\ncalc.py\n</parameter>\n"
        "<parameter=content>\ndef add(a, b):\n    return a + b\n</parameter>\n</function>\n"
        "</tool_call>"
    )
    turn = turn_in(tmp_path, [f"{read}\n{write}\n{read}", DONE])
    events, result = plan(turn)
    assert result.outcome == "solved"
    assert [e.tool for e in events if isinstance(e, ToolReturned)] == ["read", "write", "read"]
    results = told(events)[0]
    assert results.count("Result of read") == 2
    assert results.index("return a - b") < results.index("Result of write") < results.index("a + b")


def test_a_cut_off_call_after_others_is_not_run(tmp_path: Path) -> None:
    read = '<tool_call>{"name": "read", "arguments": {"path": "calc.py"}}</tool_call>'
    endless = f"{read}\n```shell\n" + "".join(f"touch made-{n}\n" for n in range(2000))
    events, result = plan(turn_in(tmp_path, [endless, EDIT, DONE]))
    assert result.outcome == "solved"
    assert [e.tool for e in events if isinstance(e, ToolReturned)] == ["read", "edit"]


FORM = TemplateForm(
    call_form="json", call_start="<tool_call>", call_end="</tool_call>", results="tool"
)


def native_turn(folder: Path, replies: Sequence[str]) -> Turn:
    turn = turn_in(folder, [])
    info = ModelInfo("scripted", "scripted", "", Profile(calls="native"), form=FORM)
    turn.services = replace(turn.services, model=ScriptedModel(replies, info))
    return turn


def called(name: str, **arguments: str) -> str:
    return f"<tool_call>\n{json.dumps({'name': name, 'arguments': arguments})}\n</tool_call>"


def test_native_calls_get_schemas_and_results_of_their_own(tmp_path: Path) -> None:
    edit = called("edit", path="calc.py", old_string="return a - b", new_string="return a + b")
    replies = [f"I read it.\n{called('read', path='calc.py')}", edit, called("done", summary="ok")]
    turn = native_turn(tmp_path, replies)
    events, result = plan(turn)
    assert (result.outcome, result.summary) == ("solved", "ok")
    added = [e for e in events if isinstance(e, MessageAdded)]
    assert [e.tool for e in added] == ["", "read", "", "edit", ""]
    assert [e.calls for e in added if e.role == "assistant"] == [["read"], ["edit"], ["done"]]
    request = turn.services.model.requests[0]  # type: ignore[attr-defined]
    names = [tool["function"]["name"] for tool in json.loads(request.tools)]
    assert names == [*TOOLS, "done"]
    assert request.trigger == "<tool_call>"
    assert request.grammar is not None
    assert "```" not in request.prompt[0].content


def test_a_native_reply_without_a_call_is_told_so(tmp_path: Path) -> None:
    replies = ["I would fix it.", called("write", path="calc.py", content="add = int.__add__\n")]
    turn = native_turn(tmp_path, [*replies, called("done", summary="ok")])
    events, result = plan(turn)
    assert result.outcome == "solved"
    assert told(events)[0].startswith("There was no tool call in your reply. Call a tool.")


def test_a_thought_that_nobody_asked_for_is_no_part_of_the_reply(tmp_path: Path) -> None:
    turn = turn_in(tmp_path, [f"<think>{READ}</think>\n{EDIT}", DONE])
    events, result = plan(turn)
    assert result.outcome == "solved"
    first = next(e for e in events if isinstance(e, MessageAdded))
    assert (first.content, first.thought) == (EDIT, f"<think>{READ}</think>\n")


def test_a_closing_tag_in_an_answer_is_kept_where_the_model_does_not_think(tmp_path: Path) -> None:
    answer = "The tag </think> ends a thought."
    turn = turn_in(tmp_path, [answer], "What is the tag for?")
    _, result = plan(turn)
    assert (result.outcome, result.summary) == ("answered", answer)


# Handing a failing test to the search

REPAIR = "```repair test=test_calc.py::test_add\n```"
FIXED = "```python\ndef add(a, b):\n    return a + b\n```"


def test_a_model_that_plans_hands_a_failing_test_to_the_search(tmp_path: Path) -> None:
    turn = turn_in(tmp_path, [REPAIR, *[FIXED] * 8, DONE, DONE], planner="react")
    events, result = plan(turn)
    assert result.outcome == "solved"
    assert "return a + b" in (tmp_path / "calc.py").read_text()
    (returned,) = [e for e in events if isinstance(e, ToolReturned)]
    assert (returned.tool, returned.ok) == ("repair", True)
    assert turn.task_paths == {"calc.py"}  # what the user named, whatever the model hands over


def test_a_search_without_a_result_tells_the_model_so(tmp_path: Path) -> None:
    cases = {"test_add": ("add(2, 30)", 5)}
    turn = turn_in(tmp_path, [REPAIR, *["no"] * 200], cases=cases, planner="react")
    events, _ = plan(turn)
    returned = next(e for e in events if isinstance(e, ToolReturned))
    assert not returned.ok and "nothing was changed" in returned.for_model
    assert not turn.changed


def test_only_a_model_that_plans_can_call_the_search(tmp_path: Path) -> None:
    assert "repair" in tool_specs(turn_in(tmp_path, [], planner="react").services)
    assert "repair" not in tool_specs(turn_in(tmp_path, []).services)
