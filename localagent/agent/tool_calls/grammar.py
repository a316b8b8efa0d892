"""The grammar of one action: the frame of a tool call is held to, what is inside it is free.

Small models drift from the form that they are shown: another language after the fence, JSON, no
call at all. Under this grammar (GBNF, which llama.cpp enforces and other backends ignore) a reply
is at most a few lines of prose and then one call of a tool that exists, with the arguments that it
has. Code stays plain text: a body is any lines but a closing fence.
"""

from __future__ import annotations

from collections.abc import Sequence

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
