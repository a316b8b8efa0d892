"""The specs of tools: complete, consistent, and the grammar and prompts that they make."""

from __future__ import annotations

from pathlib import Path

from localagent.agent.tool_calls.parse import action_grammar
from localagent.context.prompts import SHIPPED
from localagent.tools.base import CHECK, DONE, ToolSpec, model_specs
from localagent.tools.registry import spec_of, specs, standard_tools

GRAMMAR = Path(__file__).with_name("action.gbnf")
MODEL_TOOLS = model_specs(standard_tools())
ALL_TOOLS = model_specs(standard_tools(), repairs=True)


def test_the_grammar_keeps_its_bytes() -> None:
    assert action_grammar(MODEL_TOOLS) == "\n" + GRAMMAR.read_text()


def test_a_plugin_adds_one_alternative_to_the_grammar() -> None:
    grammar = action_grammar({**MODEL_TOOLS, "words": ToolSpec("words")})
    assert '"done\\n" body | plugin\n' in grammar
    assert grammar.endswith('plugin  ::= ("words") (" " [a-z_]+ "=" path){0,8} "\\n" line*\n')


def test_every_tool_has_its_description_and_no_description_lacks_a_tool() -> None:
    written = {f"tools/{path.stem}" for path in (SHIPPED / "tools").glob("*.md")}
    assert {spec.prompt for spec in ALL_TOOLS.values()} == written


def test_no_name_means_two_tools() -> None:
    names = [name for spec in ALL_TOOLS.values() for name in (spec.name, *spec.aliases)]
    assert len(set(names)) == len(names)


def test_specs_agree_with_their_arguments() -> None:
    for spec in ALL_TOOLS.values():
        assert spec.arguments is not None
        fields = spec.arguments.model_fields
        assert spec.positional in fields, spec.name
        assert bool(spec.body) == ("body" in fields), spec.name
        assert not spec.body_aliases or spec.body, spec.name
        assert spec.body not in ("file", "blocks") or "path" in fields, spec.name


def test_a_name_that_is_not_built_in_is_a_plugin() -> None:
    assert spec_of("words") == ToolSpec("words")
    assert spec_of("check") is CHECK and spec_of("done") is DONE
    assert set(specs()) == {*ALL_TOOLS, "check", "handoff"}
