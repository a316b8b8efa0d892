"""Reading tool calls out of a model's reply.

The form that is asked for is a fenced block, its info string the tool's name and `key=value`
arguments, its body the argument `body`:

    ```write path=src/new.py
    print("hello")
    ```

Small models drift from it, so these are read as well: Hermes' `<tool_call>{…}</tool_call>`,
`<function=…>` with `<parameter=…>`, JSON objects in a ```json block or bare, tools under the names
that other agents give them, arguments in the body, fences left open. What names no tool is
refused, never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from localagent.agent.tool_calls.aliases import Found
from localagent.agent.tool_calls.fenced import commands, fenced
from localagent.agent.tool_calls.json_and_tags import functions, objects, tagged
from localagent.core.errors import ToolError
from localagent.core.messages import ToolCall

ACTION = r"""
root    ::= prose "```" call "```"
prose   ::= (said "\n"){0,3}
said    ::= ([^`\n] | "`" [^`\n]+ "`"){0,240}
call    ::= read | list | search | edit | write | "shell\n" body | "done\n" body
read    ::= "read path=" path (" lines=" [0-9]+ "-" [0-9]+)? "\n"
list    ::= "list" (" path=" path)? "\n"
search  ::= "search pattern=" quoted (" path=" path)? (" mode=literal")? "\n"
edit    ::= "edit path=" path (" function=" [A-Za-z_.0-9]+ "\n" body | "\n" change)
change  ::= "<<<<<<< SEARCH\n" part "=======\n" part ">>>>>>> REPLACE\n"
write   ::= "write path=" path "\n" body
path    ::= [^ \n`"'=]+ | quoted
quoted  ::= "\"" ([^"\\\n] | "\\" [^\n])+ "\""
body    ::= line+
line    ::= "\n" | [^`\n] rest | "`\n" | "`" [^`\n] rest | "``\n" | "``" [^`\n] rest
part    ::= ("\n" | [^=<>\n] rest | [=<>] ("\n" | [^=<>\n] rest))*
rest    ::= [^\n]* "\n"
"""
"""For replies in `react` that must act. Its tools are those of `prompts/tools/`."""

_CALLS = '"done\\n" body'
_PLUGIN = """plugin  ::= ({names}) (" " [a-z_]+ "=" path){{0,8}} "\\n" line*
"""


def action_grammar(plugins: Sequence[str] = ()) -> str:
    """ACTION and, with them, calls of plug-in tools: any arguments, and a body or none."""
    if not plugins:
        return ACTION
    names = " | ".join(f'"{name}"' for name in plugins)
    return ACTION.replace(_CALLS, f"{_CALLS} | plugin") + _PLUGIN.format(names=names)


# Tools that only look: several of them in one reply are all carried out.
READERS = ("read", "list", "search")
# Only at the start: a file that is written may hold such tags.
_THINKING = re.compile(r"\A\s*<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL)


def parse_actions(reply: str, tools: Sequence[str]) -> list[ToolCall]:
    """The calls of `reply` that are to be carried out: the first, or the first few if they all
    only read; none where there is no call.

    Raises ToolError where the first call names no tool of `tools`, or cannot be read.
    """
    text = _THINKING.sub(lambda match: " " * len(match.group()), reply)
    found = list(_all(text, tools)) or list(commands(text, tools))
    calls: list[ToolCall] = []
    for one in found:
        if one.call is None:
            if calls:
                break
            raise ToolError(one.problem)
        if calls and one.call.name not in READERS:
            break
        calls.append(one.call)
        if one.call.name not in READERS:
            break
    return calls


def _all(text: str, tools: Sequence[str]) -> Iterator[Found]:
    """All calls of a reply in any form; what lies inside one is not looked into again."""
    found = [one for reader in (fenced, tagged, functions, objects) for one in reader(text, tools)]
    end = 0
    for one in sorted(found, key=lambda f: f.position):
        if one.position >= end:
            end = one.end
            if one.call is not None or one.problem:
                yield one
