"""Reads the tool calls of a reply, and makes the grammar of replies with calls.

The prompt asks for a fenced block. The block's info string has the tool's name and `key=value`
arguments, and the block's body is the argument `body`:

    ```write path=src/new.py
    print("hello")
    ```

Models also write the forms that they were trained for: JSON in tags or after a marker
(`json_and_tags`), a name before its JSON (`name_first`), a tag for each argument (`tags`), lists
like Python's, and Gemma's (`literals`). The parser reads all of them. It accepts the tool names of
other agents, arguments in the body, and fences that are not closed. A call that names no tool is
refused; the parser never guesses the tool.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from localagent.agent.thoughts import split_thought
from localagent.agent.tool_calls.aliases import CallMatch
from localagent.agent.tool_calls.fenced import commands, fenced
from localagent.agent.tool_calls.json_and_tags import marked, objects, tagged
from localagent.agent.tool_calls.literals import gemma_calls, python_calls
from localagent.agent.tool_calls.name_first import name_first
from localagent.agent.tool_calls.tags import tags
from localagent.core.errors import ToolError
from localagent.core.messages import THOUGHT_MARKERS, ToolCall
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


# What is left of a reply's frame when its calls and its thought are taken out.
_FRAME = re.compile(
    r"<\|channel\|>\w+|<\|[^|<>\s]*\|?>|<[^|<>\s]*\|>|<｜[^｜<>]*｜>|</?(?:seed:)?tool_calls?>|\[TOOL_CALLS\]"
    r"|(?:\A|(?<=<\|start\|>))assistant\b|\bcommentary\s*\Z"
    r"|</?｜DSML｜(?:function|tool)_calls>|\[END FINAL RESPONSE\]|\bfunction call<\|role_sep\|>"
    r"|\A\s*<response>|</response>\s*\Z"
)
_MARKS = re.compile(
    "|".join(re.escape(mark) for marks in THOUGHT_MARKERS for mark in marks)
    + r"|(?:<\|start\|>assistant)?<\|channel\|>(?:analysis|final)<\|message\|>|<\|end\|>"
)


@dataclass(frozen=True, slots=True)
class ParsedReply:
    """A raw reply: its thought and its text for the user, without markers, and its calls."""

    thought: str
    text: str
    calls: tuple[ToolCall, ...]


def read_reply(reply: str, tools: ToolSpecs) -> ParsedReply:
    """Split a raw reply. Raises ToolError as `parse_actions`."""
    thought, rest = split_thought(reply)
    calls = parse_actions(rest, tools)
    text, end = "", 0
    for match in _all(rest, tools):
        text += rest[end : max(end, match.position)]
        end = max(end, match.end)
    thought = _MARKS.sub("", thought).strip()
    return ParsedReply(thought, _FRAME.sub("", text + rest[end:]).strip(), tuple(calls))


def parse_actions(reply: str, tools: ToolSpecs) -> list[ToolCall]:
    """The calls of `reply` to carry out, in their order.

    These are all calls in a native form. Of fenced and bare ones, it is the first call, or the
    first few if they all only read. Empty if the reply has no call. Raises ToolError if the first
    call names no tool or cannot be read.
    """
    _, text = split_thought(reply)
    matches = list(_all(text, tools)) or list(commands(text, tools))
    calls: list[ToolCall] = []
    for match in matches:
        call = match.call
        if call is None and not calls:
            raise ToolError(match.problem)
        reads = call is not None and call.name != DONE.name and tools[call.name].effect == "read"
        if call is None or (calls and not (reads or match.native)):
            break
        calls.append(call)
        if not (reads or match.native):
            break
    return calls


def has_call(reply: str, tools: ToolSpecs) -> bool:
    """Whether `reply` contains a call, even a faulty call."""
    try:
        return bool(parse_actions(reply, tools))
    except ToolError:
        return True


_READERS = (fenced, tagged, marked, name_first, tags, python_calls, gemma_calls, objects)


def _all(text: str, tools: ToolSpecs) -> Iterator[CallMatch]:
    """All calls of a reply, in every form, without matches inside other matches."""
    found = [one for reader in _READERS for one in reader(text, tools)]
    end = 0
    for one in sorted(found, key=lambda f: f.position):
        if one.position >= end:
            end = one.end
            if one.call is not None or one.problem:
                yield one
