"""Tool calls as models write them: read where the meaning is plain, never as another tool."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localagent.agent.tool_calls.parse import parse_actions
from localagent.core.errors import ToolError
from localagent.core.messages import ToolCall
from localagent.tools.base import model_specs
from localagent.tools.registry import standard_tools

TOOLS = model_specs(standard_tools())
READING = {"read": TOOLS["read"]}
EDIT = "<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE\n"


def only(reply: str) -> tuple[str, dict[str, str]]:
    calls = parse_actions(reply, TOOLS)
    assert len(calls) == 1, calls
    return calls[0].name, calls[0].arguments


READ = ("read", {"path": "src/app.py", "lines": "1-40"})
SHELL = ("shell", {"body": "python -m pytest -q\n"})


class TestForms:
    @pytest.mark.parametrize(
        "reply",
        [
            "```read path=src/app.py lines=1-40\n```",
            "I look first.\n\n```read path=src/app.py lines=1-40\n```\nThen I go on.",
            "```read path=src/app.py lines=1-40",
            "```read path=src/app.py lines=1-40```",
            '```read path="src/app.py" lines="1-40"\n```',
            "~~~read path='src/app.py' lines=1-40\n~~~",
            "```Read  path = src/app.py  lines = 1-40\n```",
            "```read src/app.py lines=1-40\n```",
            "```tool: read path=src/app.py lines=1-40\n```",
            "```read\npath=src/app.py\nlines=1-40\n```",
            "```read\npath: src/app.py\nlines: 1-40\n```",
            '```read\n{"path": "src/app.py", "lines": "1-40"}\n```',
            '```read {"path": "src/app.py", "lines": "1-40"}\n```',
            "```read_file path=src/app.py lines=1-40\n```",
            "```read file=src/app.py lines=1-40\n```",
            "```read path=src/app.py start_line=1 end_line=40\n```",
            '<tool_call>\n{"name": "read", "arguments": {"path": "src/app.py", "lines": "1-40"}}\n'
            "</tool_call>",
            '<tool_call>{"name": "read", "arguments": {"path": "src/app.py", "lines": "1-40"}}',
            '<tool_call>{"name": "read", "arguments": {"path": "src/app.py", "lines": [1, 40]}',
            '```json\n{"name": "read", "arguments": {"path": "src/app.py", "lines": "1-40"}}\n```',
            '```\n{"tool": "read", "parameters": {"path": "src/app.py", "lines": "1-40",}}\n```',
            '{"tool": "read", "input": {"path": "src/app.py", "lines": "1-40"}}',
            '{"tool": "read", "path": "src/app.py", "lines": "1-40"}',
            '{"name": "read", "path": "src/app.py", "lines": "1-40"}',
            '{"action": "read", "action_input": {"path": "src/app.py", "lines": "1-40"}}',
            '{"function": {"name": "read", "arguments": "{\\"path\\": \\"src/app.py\\", '
            '\\"lines\\": \\"1-40\\"}"}}',
            '[{"name": "read", "arguments": {"path": "src/app.py", "lines": "1-40"}}]'.join(
                ["```json\n", "\n```"]
            ),
            '{"read": {"path": "src/app.py", "lines": "1-40"}}',
            "{'name': 'read', 'arguments': {'path': 'src/app.py', 'lines': '1-40'}}",
            "<function=read>\n<parameter=path>\nsrc/app.py\n</parameter>\n"
            "<parameter=lines>1-40</parameter>\n</function>",
            "<think>```write path=x\n```</think>\n```read path=src/app.py lines=1-40\n```",
            "  ```read path=src/app.py lines=1-40\n  ```",
        ],
    )
    def test_read(self, reply: str) -> None:
        assert only(reply) == READ

    @pytest.mark.parametrize(
        "reply",
        [
            "```shell\npython -m pytest -q\n```",
            "```shell\npython -m pytest -q",
            "Run the tests:\n```bash\n$ python -m pytest -q\n```",
            "```sh\npython -m pytest -q\n```\n\n```text\noutput\n```",
        ],
    )
    def test_shell(self, reply: str) -> None:
        assert only(reply) == SHELL

    @pytest.mark.parametrize(
        "reply",
        [
            '{"name": "shell", "arguments": {"command": "ls"}}',
            "```shell ls\n```",
            '```shell cmd="ls"\n```',
            '<tool_call>{"name": "run_command", "arguments": {"cmd": "ls"}}</tool_call>',
            '{"name": "shell", "arguments": "ls"}',
        ],
    )
    def test_shell_in_one_line(self, reply: str) -> None:
        assert only(reply) == ("shell", {"body": "ls"})

    @pytest.mark.parametrize(
        "reply",
        [
            f"```edit path=a.py\n{EDIT}```",
            f"```edit\npath: a.py\n{EDIT}```",
            f"```edit path=a.py\n{EDIT}",
            '{"name": "edit", "arguments": {"path": "a.py", "search": "a", "replace": "b"}}',
            '{"name":"edit","arguments":{"path":"a.py","old_string":"a\n","new_string":"b\n"}}',
        ],
    )
    def test_edit(self, reply: str) -> None:
        assert only(reply) == ("edit", {"path": "a.py", "body": EDIT})

    @pytest.mark.parametrize(
        "reply",
        [
            '{"name": "write", "arguments": {"path": "a.py", "content": "x = 1\ny = \\"2\\"\n"}}',
            '```write path=a.py\nx = 1\ny = "2"\n```',
            '```write\nfile: a.py\nx = 1\ny = "2"\n```',
            '```write a.py\nx = 1\ny = "2"\n',
        ],
    )
    def test_write(self, reply: str) -> None:
        assert only(reply) == ("write", {"path": "a.py", "body": 'x = 1\ny = "2"\n'})

    def test_patterns_keep_their_backslashes(self) -> None:
        assert only(r'```search pattern="def \w+\(\"" path=src' + "\n```") == (
            "search",
            {"pattern": r'def \w+\("', "path": "src"},
        )
        assert only('```search pattern="TODO: `tax`" path=src' + "\n```") == (
            "search",
            {"pattern": "TODO: `tax`", "path": "src"},
        )
        assert only("```search pattern=def total path=src\n```")[1]["pattern"] == "def total"
        assert only("```search\ndef total\n```")[1] == {"pattern": "def total"}

    def test_options_are_no_pattern(self) -> None:
        assert only("```grep -n total src\n```") == ("search", {})

    def test_tags_inside_a_file_are_kept(self) -> None:
        assert only("```write path=a\n<think>x</think>\n```")[1]["body"] == "<think>x</think>\n"

    def test_done(self) -> None:
        assert only("```done\nFixed it.\n```") == ("done", {"body": "Fixed it.\n"})
        assert only("```done\n```") == ("done", {"body": ""})


class TestFencesInBodies:
    MARKDOWN = "# T\n\n```python\nx\n```\n\n```\nbare\n```\n\n```shell\nls\n```\nend\n"

    @pytest.mark.parametrize("tail", ["```", "```\nDone.", "```\n\n```shell\npytest\n```\n"])
    def test_a_markdown_file(self, tail: str) -> None:
        reply = f"```write path=README.md\n{self.MARKDOWN}{tail}"
        assert only(reply) == ("write", {"path": "README.md", "body": self.MARKDOWN})

    def test_a_longer_fence(self) -> None:
        reply = f"````write path=a.txt\n{self.MARKDOWN}````\n```shell\nls\n```"
        assert only(reply)[1]["body"] == self.MARKDOWN

    def test_a_docstring_with_a_fence(self) -> None:
        body = 'def f():\n    """Doc.\n\n    ```\n    x\n    ```\n    """\n'
        assert only(f"```write path=a.py\n{body}```\nDone.")[1]["body"] == body

    def test_an_edit_of_a_markdown_file(self) -> None:
        body = "<<<<<<< SEARCH\n```\na\n```\n=======\nb\n>>>>>>> REPLACE\n"
        assert only(f"```edit path=a.md\n{body}```\n")[1]["body"] == body

    def test_a_call_inside_a_file_is_no_call(self) -> None:
        body = '{"name": "shell", "arguments": {"command": "rm -rf ."}}\n'
        assert only(f"```write path=a.json\n{body}```") == (
            "write",
            {"path": "a.json", "body": body},
        )

    def test_a_fence_inside_a_json_string(self) -> None:
        reply = (
            '{"name": "write", "arguments": {"path": "a.md", "content": "x\n```shell\nls\n```\n"}}'
        )
        assert only(reply) == ("write", {"path": "a.md", "body": "x\n```shell\nls\n```\n"})

    def test_the_missing_end_before_the_next_call(self) -> None:
        assert only("```write path=a.py\nx = 1\n```read path=b.py\n```")[1]["body"] == "x = 1\n"


class TestWhichCount:
    def test_several_reads(self) -> None:
        reply = "```read path=a\n```\n```search pattern=b\n```\n```write path=c\nd\n```"
        assert [c.name for c in parse_actions(reply, TOOLS)] == ["read", "search"]

    def test_only_the_first_of_others(self) -> None:
        reply = "```write path=c\nd\n```\n```read path=a\n```\n```shell\nls\n```"
        assert [c.name for c in parse_actions(reply, TOOLS)] == ["write"]

    @pytest.mark.parametrize(
        "reply",
        [
            "",
            "I am done.",
            "```python\nx = 1\n```",
            '```json\n{"name": "search", "version": "1.0", "main": "index.js"}\n```',
            '```python\nd = {}\n{"name": "shell", "arguments": {"command": "ls"}}\n```',
            '```js title="a.js"\nread()\n```',
            "```bash\nls\n```\nor\n```bash\npwd\n```",
            "Use `read path=x` for that.",
            "use <tool_call> tags",
        ],
    )
    def test_no_call(self, reply: str) -> None:
        assert parse_actions(reply, TOOLS) == []

    @pytest.mark.parametrize(
        ("reply", "message"),
        [
            ("```browse path=x\n```", "no tool 'browse'; the tools are: read, list"),
            ('<tool_call>{"name": "web", "arguments": {}}</tool_call>', "no tool 'web'"),
            ('{"name": "web", "arguments": {"url": "x"}}', "no tool 'web'"),
            ("<function=web></function>", "no tool 'web'"),
            ('<tool_call>{"name": "write", "arguments": {"path": "a", "content": "x', "cut off"),
            ('{"name": "write", "arguments": {"path": "a", "content": "x', "cut off"),
            ('<tool_call>{"x": 1}</tool_call>', "names no tool"),
        ],
    )
    def test_refused(self, reply: str, message: str) -> None:
        with pytest.raises(ToolError, match=message):
            parse_actions(reply, TOOLS)

    def test_a_tool_that_is_not_offered(self) -> None:
        with pytest.raises(ToolError, match=r"tools are: read$"):
            parse_actions('{"name": "shell", "arguments": {"command": "ls"}}', READING)
        assert parse_actions("```bash\nls\n```", READING) == []


BODIES = [
    "x = 1\n",
    "def f():\n    return '''\n```\n'''\n",
    "# Title\n\n```python\nprint(1)\n```\n",
    '{"name": "shell", "arguments": {"command": "ls"}}\n',
    EDIT,
    'ls -la | grep "x y"\n',
    "é→😀\n\ttab\n",
]
ARGUMENTS = {
    "read": {"path": "src/app.py", "lines": "3-9"},
    "list": {"path": "src dir"},
    "search": {"pattern": r"def \w+(", "path": "src"},
    "logs": {"path": "app.log", "time": "14:00-14:05"},
    "edit": {"path": "a.py"},
    "write": {"path": "doc/a.md"},
    "shell": {},
    "done": {},
}
PROSE = ["", "Let me do that.\n\n", "Sure! Here's `it`:\n", "1. First\n2. then\n\n"]


def written(rng: random.Random, name: str, arguments: dict[str, str]) -> str:
    """One call in one of the forms."""
    form = rng.choice(["fence", "fence", "fence", "hermes", "json", "bare", "tags"])
    body = arguments.get("body", "")
    if form == "fence":
        marks = rng.choice(["```", "````", "~~~"]) if "```" not in body else "````"
        pairs = [f'{k}="{v}"' for k, v in arguments.items() if k != "body"]
        return f"{marks}{name} {' '.join(pairs)}".rstrip() + f"\n{body}{marks}"
    if form == "tags":
        inner = "".join(f"<parameter={k}>{v}</parameter>\n" for k, v in arguments.items())
        return f"<function={name}>\n{inner}</function>"
    keys = rng.choice([("name", "arguments"), ("tool", "parameters"), ("tool", "input")])
    text = json.dumps({keys[0]: name, keys[1]: arguments}, indent=rng.choice([None, 2]))
    if rng.random() < 0.3:
        text = text.replace("\\n", "\n")  # raw newlines
    if form == "hermes":
        return f"<tool_call>\n{text}\n</tool_call>"
    return text if form == "bare" else f"```json\n{text}\n```"


def drifted(rng: random.Random, reply: str) -> str:
    """The reply with one thing gone wrong in its frame."""
    kind = rng.randrange(8)
    if kind == 0:
        return reply.rstrip("`~")  # the closing fence is lost
    if kind == 1:
        return reply[: rng.randrange(len(reply) + 1)]  # cut off
    if kind == 2:
        at = rng.randrange(len(reply) + 1)
        return (
            reply[:at]
            + rng.choice(["`", '"', "\n", " ", "}", ",", "```\n", "</tool_call>"])
            + reply[at:]
        )
    if kind == 3:
        return reply.replace("}}", ",}}")
    if kind == 4:
        return reply + "\n\nThat should do it."
    if kind == 5:
        at = rng.randrange(len(reply) + 1)
        return reply[:at] + reply[at + 1 :]
    return reply


def test_ten_thousand_drifted_replies_never_become_another_tool() -> None:
    rng = random.Random(20)
    understood = 0
    for _ in range(10_000):
        name = rng.choice([*TOOLS])
        arguments = dict(ARGUMENTS[name])
        if name in ("edit", "write", "shell", "done"):
            arguments["body"] = EDIT if name == "edit" else rng.choice(BODIES)
        reply = rng.choice(PROSE) + drifted(rng, written(rng, name, arguments))
        try:
            calls = parse_actions(reply, TOOLS)
        except ToolError as error:
            assert error.message
            continue
        # A fence that breaks can uncover a call in the body; a human would read that one, too.
        if "rguments" in arguments.get("body", ""):
            continue
        assert all(call.name == name for call in calls), (name, reply, calls)
        understood += len(calls) == 1
    assert understood > 6_500, understood


def test_undrifted_calls_come_back_whole() -> None:
    rng = random.Random(4)
    for _ in range(500):
        name = rng.choice([*TOOLS])
        arguments = dict(ARGUMENTS[name])
        if name in ("edit", "write", "shell", "done"):
            arguments["body"] = EDIT if name == "edit" else rng.choice(BODIES)
        reply = rng.choice(PROSE) + written(rng, name, arguments)
        assert only(reply) == (name, arguments), reply


pieces = st.sampled_from(
    ["```", "````", "~~~", "read", " path=a", '"', "{", "}", '{"name": "read"', '"arguments":', ":",
     ",", "\n", "<tool_call>", "</tool_call>", "<function=read>", "<parameter=x>", "write", "shell",
     "[", "]", "\\", "'", "=", " ", "<think>", "x", "(", ")", "json", "body: 1", "\0"]
)  # fmt: skip


@given(st.lists(pieces, max_size=40).map("".join))
def test_any_reply_is_read_or_refused(reply: str) -> None:
    try:
        calls = parse_actions(reply, TOOLS)
    except ToolError:
        return
    for call in calls:
        assert isinstance(call, ToolCall)
        assert call.name in TOOLS
        assert all(isinstance(v, str) for v in (*call.arguments, *call.arguments.values()))


@pytest.mark.parametrize(
    "text",
    [
        "{" * 20_000,
        "```\n" * 3_000,
        "```py\n" * 3_000,
        "{\n" * 3_000,
        "<tool_call>{" * 2_000,
        '"' * 50_000,
    ],
)
def test_long_nonsense_is_read_in_time(text: str) -> None:
    try:
        assert parse_actions(text, TOOLS) == []
    except ToolError:
        pass
