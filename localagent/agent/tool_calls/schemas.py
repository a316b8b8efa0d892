"""The tools as schemas, for templates that know tools, and the grammar of a native call."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from localagent.context.prompts import Prompts
from localagent.tools.base import ToolSpec, ToolSpecs

# The argument that the body of a fenced block is in a native call.
_BODIES = {"file": "content", "command": "command", "text": "summary"}
_EDIT = ("old_string", "new_string")


def tool_schemas(tools: ToolSpecs, prompts: Prompts) -> list[dict[str, Any]]:
    """The tools as OpenAI's API has them, with their descriptions from the prompts."""
    lines = prompts.text("react/arguments").splitlines()
    meanings = {name: text for name, _, text in (line.partition(": ") for line in lines)}
    return [_schema(spec, prompts.text(spec.prompt), meanings) for spec in tools.values()]


def _schema(spec: ToolSpec, text: str, meanings: Mapping[str, str]) -> dict[str, Any]:
    """A tool's schema; the description is the text after the example of a fenced call."""
    description = text.rpartition("```")[2].strip().split(" Or write `")[0]
    fields = spec.arguments.model_fields if spec.arguments else {}
    names = _names(spec)
    required = [n for n in names if fields and (n not in fields or fields[n].is_required())]
    properties = {n: {"type": "string", "description": meanings.get(n, n)} for n in names}
    parameters = {"type": "object", "properties": properties, "required": required}
    function = {"name": spec.name, "description": description, "parameters": parameters}
    return {"type": "function", "function": function}


def _names(spec: ToolSpec) -> list[str]:
    """The arguments of a tool; every one is a text. A plug-in may take any argument."""
    if not spec.arguments:
        return ["path", "body"]
    names = [name for name in spec.arguments.model_fields if name != "body"]
    if spec.body == "blocks":
        return [*(name for name in names if name != "function"), *_EDIT]
    return [*names, _BODIES[spec.body]] if spec.body else names


def call_grammar(form: str, end: str, schemas: list[dict[str, Any]]) -> str | None:
    """The grammar of what follows the beginning of a call; None for a form without one."""
    functions = [schema["function"] for schema in schemas]
    if form == "json":
        calls = [_json_call(function, named=True) for function in functions]
        head, tail = 'ws "{" ws', f'"}}" ws {_quoted(end)} [\\n ]*'
    elif form == "named-json":
        calls = [_json_call(function, named=False) for function in functions]
        head, tail = "", ""
    elif form == "tags" and end == "</tool_call>":
        calls = [_tag_call(function) for function in functions]
        head, tail = "[\\n]*", f'"</function>" [\\n]* {_quoted(end)} [\\n ]*'
    else:
        return None
    alternatives = " | ".join(f"({call})" for call in calls)
    again = f"({_quoted('[TOOL_CALLS]')} call)*" if form == "named-json" else ""
    return f"root ::= call {again}\ncall ::= {head} ({alternatives}) {tail}\n{_JSON}"


def _json_call(function: dict[str, Any], *, named: bool) -> str:
    keys = " | ".join(_quoted(json.dumps(key)) for key in function["parameters"]["properties"])
    pair = f'({keys}) ws ":" ws string ws'
    arguments = f'"{{" ws ({pair} ("," ws {pair})*)? "}}"'
    if named:
        name = _quoted(json.dumps(function["name"]))
        start = f'"\\"name\\"" ws ":" ws {name} ws "," ws "\\"arguments\\"" ws ":" ws '
        return f"{start}{arguments} ws"
    return f'{_quoted(function["name"])} "[ARGS]"? ws {arguments}'


def _tag_call(function: dict[str, Any]) -> str:
    keys = " | ".join(map(_quoted, function["parameters"]["properties"]))
    name = _quoted(f"<function={function['name']}>")
    return f'{name} "\\n" ("<parameter=" ({keys}) ">\\n" value "</parameter>\\n")*'


def _quoted(text: str) -> str:
    """A text in GBNF, whose strings escape as JSON's do."""
    return json.dumps(text, ensure_ascii=False)


_JSON = r"""
string ::= "\"" ([^"\\] | "\\" (["\\/bfnrt] | "u" [0-9a-fA-F]{4}))* "\""
ws ::= [ \n]{0,4}
value ::= ([^<] | "<" [^/] | "</" [^p] | "</p" [^a])*
""".lstrip()
