"""Tools as schemas, and the grammar of native calls."""

from __future__ import annotations

import json

from localagent.agent.tool_calls.parse import parse_actions
from localagent.agent.tool_calls.schemas import call_grammar, tool_schemas
from localagent.context.prompts import Prompts
from localagent.tools.base import model_specs
from localagent.tools.registry import standard_tools

TOOLS = model_specs(standard_tools())
FUNCTIONS = {s["function"]["name"]: s["function"] for s in tool_schemas(TOOLS, Prompts())}


def test_every_tool_has_a_schema_with_the_description_of_its_prompt() -> None:
    assert list(FUNCTIONS) == list(TOOLS)
    assert FUNCTIONS["shell"]["description"] == "Runs a command in the workspace, without network."
    assert all("```" not in json.dumps(function) for function in FUNCTIONS.values())


def test_the_body_has_a_name_that_models_know() -> None:
    required = {name: f["parameters"]["required"] for name, f in FUNCTIONS.items()}
    assert required["write"] == ["path", "content"]
    assert required["edit"] == ["path", "old_string", "new_string"]
    assert (required["shell"], required["done"]) == (["command"], ["summary"])
    assert (required["read"], required["list"]) == (["path"], [])


def test_a_call_with_all_arguments_of_a_schema_is_understood() -> None:
    for name, function in FUNCTIONS.items():
        arguments = dict.fromkeys(function["parameters"]["properties"], "1-2")
        (call,) = parse_actions(json.dumps({"name": name, "arguments": arguments}), TOOLS)
        fields = TOOLS[name].arguments.model_fields  # type: ignore[union-attr]
        assert set(call.arguments) <= set(fields), name


def test_a_form_with_a_grammar_has_every_tool_in_it() -> None:
    schemas = tool_schemas(TOOLS, Prompts())
    for form, end in (("json", "</tool_call>"), ("named-json", ""), ("tags", "</tool_call>")):
        grammar = call_grammar(form, end, schemas)
        assert grammar is not None
        assert all(name in grammar for name in TOOLS)
    assert call_grammar("harmony", "<|call|>", schemas) is None
