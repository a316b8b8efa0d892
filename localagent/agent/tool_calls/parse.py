"""Reads the tool calls of a reply, and makes the grammar of replies with calls.

The prompt asks for a fenced block. The block's info string has the tool's name and `key=value`
arguments, and the block's body is the argument `body`:

    ```write path=src/new.py
    print("hello")
    ```

Small models also write other forms. So the parser also reads Hermes' `<tool_call>{…}</tool_call>`,
`<function=…>` with `<parameter=…>`, and JSON objects in a ```json block or bare. It accepts the
tool names of other agents, arguments in the body, and fences that are not closed. A call that names
no tool is refused; the parser never guesses the tool.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from localagent.agent.tool_calls.aliases import CallMatch
from localagent.agent.tool_calls.fenced import commands, fenced
from localagent.agent.tool_calls.json_and_tags import functions, objects, tagged
from localagent.core.errors import ToolError
from localagent.core.messages import ToolCall
from localagent.tools.base import DONE, ToolSpecs

_HEAD = r"""
root    ::= prose "```" call "```"
prose   ::= (said "\n"){0,3}
said    ::= ([^`\n] | "`" [^`\n]+ "`"){0,240}
"""
_PARTS = r"""
path    ::= [^ \n`"'=]+ | quoted
quoted  ::= "\"" ([^"\\\n] | "\\" [^\n])+ "\""
body    ::= line+
line    ::= "\n" | [^`\n] rest | "`\n" | "`" [^`\n] rest | "``\n" | "``" [^`\n] rest
part    ::= ("\n" | [^=<>\n] rest | [=<>] ("\n" | [^=<>\n] rest))*
rest    ::= [^\n]* "\n"
""".lstrip()
"""Grammar rules that the rules of each tool can use."""


def action_grammar(tools: ToolSpecs) -> str:
    """The grammar of replies that must contain a call: at most three lines of prose, then the call.

    A plug-in's call may have any arguments, and may have a body.
    """
    plugins = [f'"{name}"' for name, spec in tools.items() if not spec.grammar]
    calls = [spec.grammar for spec in tools.values() if spec.grammar] + ["plugin"][: len(plugins)]
    rules = "".join(spec.rules for spec in tools.values())
    grammar = f"{_HEAD}call    ::= {' | '.join(calls)}\n{rules}{_PARTS}"
    if plugins:
        names = " | ".join(plugins)
        grammar += f'plugin  ::= ({names}) (" " [a-z_]+ "=" path){{0,8}} "\\n" line*\n'
    return grammar


# Only at the start, because the content of a file may contain such tags.
_THINKING = re.compile(r"\A\s*<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL)


def parse_actions(reply: str, tools: ToolSpecs) -> list[ToolCall]:
    """The calls of `reply` to carry out: the first call, or the first few if they all only read.

    Empty if the reply has no call. Raises ToolError if the first call names no tool or cannot be
    read.
    """
    text = _THINKING.sub(lambda match: " " * len(match.group()), reply)
    matches = list(_all(text, tools)) or list(commands(text, tools))
    calls: list[ToolCall] = []
    for match in matches:
        call = match.call
        if call is None and not calls:
            raise ToolError(match.problem)
        reads = call is not None and call.name != DONE.name and tools[call.name].effect == "read"
        if call is None or (calls and not reads):
            break
        calls.append(call)
        if not reads:
            break
    return calls


def has_call(reply: str, tools: ToolSpecs) -> bool:
    """Whether `reply` contains a call, even a faulty call."""
    try:
        return bool(parse_actions(reply, tools))
    except ToolError:
        return True


def _all(text: str, tools: ToolSpecs) -> Iterator[CallMatch]:
    """All calls of a reply, in every form, without matches inside other matches."""
    found = [one for reader in (fenced, tagged, functions, objects) for one in reader(text, tools)]
    end = 0
    for one in sorted(found, key=lambda f: f.position):
        if one.position >= end:
            end = one.end
            if one.call is not None or one.problem:
                yield one
