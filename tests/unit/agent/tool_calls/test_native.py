"""Calls in the forms that models are trained for: read whole or not at all, whatever drifts."""

from __future__ import annotations

import json
import random
from collections.abc import Callable

import pytest

from localagent.agent.thoughts import split_thought
from localagent.agent.tool_calls.parse import parse_actions, read_reply
from localagent.core.errors import ToolError
from localagent.tools.base import model_specs
from localagent.tools.registry import standard_tools

TOOLS = model_specs(standard_tools())
Call = tuple[str, dict[str, str]]


def _json(name: str, arguments: dict[str, str]) -> str:
    return json.dumps({"name": name, "arguments": arguments}, ensure_ascii=False)


def _arguments(arguments: dict[str, str]) -> str:
    return json.dumps(arguments, ensure_ascii=False)


def hermes(name: str, arguments: dict[str, str]) -> str:
    return f"<tool_call>\n{_json(name, arguments)}\n</tool_call>\n"


def qwen_coder(name: str, arguments: dict[str, str]) -> str:
    inner = "".join(f"<parameter={k}>\n{v}\n</parameter>\n" for k, v in arguments.items())
    return f"<tool_call>\n<function={name}>\n{inner}</function>\n</tool_call>\n"


def glm(name: str, arguments: dict[str, str]) -> str:
    inner = "".join(
        f"<arg_key>{k}</arg_key>\n<arg_value>{v}</arg_value>\n" for k, v in arguments.items()
    )
    return f"<tool_call>{name}\n{inner}</tool_call>\n"


def dsml(name: str, arguments: dict[str, str]) -> str:
    inner = "".join(
        f'<｜DSML｜parameter name="{k}" string="true">{v}</｜DSML｜parameter>\n'
        for k, v in arguments.items()
    )
    return f'<｜DSML｜invoke name="{name}">\n{inner}</｜DSML｜invoke>\n'


def mistral(name: str, arguments: dict[str, str]) -> str:
    return f"[TOOL_CALLS]{name}[ARGS]{_arguments(arguments)}"


def kimi(name: str, arguments: dict[str, str]) -> str:
    return (
        f"<|tool_call_begin|>functions.{name}:0<|tool_call_argument_begin|>"
        f"{_arguments(arguments)}<|tool_call_end|>"
    )


def deepseek(name: str, arguments: dict[str, str]) -> str:
    return (
        f"<｜tool▁call▁begin｜>function<｜tool▁sep｜>{name}\n```json\n{_arguments(arguments)}\n"
        "```<｜tool▁call▁end｜>\n"
    )


def python_list(name: str, arguments: dict[str, str]) -> str:
    inner = ", ".join(f"{k}={v!r}" for k, v in arguments.items())
    return f"<|tool_call_start|>[{name}({inner})]<|tool_call_end|>"


def gemma(name: str, arguments: dict[str, str]) -> str:
    inner = ",".join(f'{k}:<|"|>{v}<|"|>' for k, v in arguments.items())
    return f"<|tool_call>call:{name}{{{inner}}}<tool_call|>"


def harmony(name: str, arguments: dict[str, str]) -> str:
    return (
        f"<|start|>assistant<|channel|>commentary to=functions.{name} <|constrain|>json<|message|>"
        f"{_arguments(arguments)}<|call|>"
    )


def granite(name: str, arguments: dict[str, str]) -> str:
    return f"<|tool_call|>[{_json(name, arguments)}]\n"


FORMS: list[Callable[[str, dict[str, str]], str]] = [
    *(hermes, qwen_coder, glm, dsml, mistral, kimi, deepseek, python_list, gemma, harmony),
    granite,
]
# What a model, or a server that hides control tokens, may leave out at the beginning.
OPENINGS = {
    "hermes": "<tool_call>\n",
    "qwen_coder": "<tool_call>\n",
    "mistral": "[TOOL_CALLS]",
    "kimi": "<|tool_call_begin|>",
    "deepseek": "<｜tool▁call▁begin｜>",
    "python_list": "<|tool_call_start|>",
    "gemma": "<|tool_call>",
    "harmony": "<|start|>assistant",
}
BODIES = [
    "x = 1\n",
    'print("a \\"b\\" c")\n',
    "if a < b and 'c' > \"d\":\n    f({'k': [1, 2]})\n",
    "é→😀 «ü»\n\ttab\n",
    "[x](y) {z} call:it, to be or not\n",
    "SELECT * FROM t WHERE a = 'it''s';\n",
    "<b>bold</b> & <i>x</i>\n",
    "\\d+\\.\\w \\\\ end\n",
]
PROSE = ["", "I look at the file first.\n\n", "Sure! Here's `it`, then.\n", "1. First\n2. then\n"]


def a_call(rng: random.Random) -> Call:
    name = rng.choice(["read", "search", "write", "shell", "list"])
    body = rng.choice(BODIES)
    return name, {
        "read": {"path": "src/app.py", "lines": "3-9"},
        "search": {"pattern": body.split("\n")[0], "path": "src dir"},
        "write": {"path": "a/ü b.py", "content": body},
        "shell": {"command": body},
        "list": {"path": "src"},
    }[name]


def understood(reply: str) -> list[Call]:
    try:
        return [(call.name, call.arguments) for call in parse_actions(reply, TOOLS)]
    except ToolError as error:
        assert error.message
        return []


def expected(call: Call) -> Call:
    """The call with localagent's own names of arguments."""
    names = {"content": "body", "command": "body"}
    return call[0], {names.get(key, key): value for key, value in call[1].items()}


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_each_complete_call_is_read_and_none_is_invented(
    form: Callable[[str, dict[str, str]], str],
) -> None:
    rng = random.Random(form.__name__)
    for number in range(200):
        calls = [a_call(rng) for _ in range(1 + number % 2)]
        texts = [form(*call) for call in calls]
        if number % 5 == 1 and form.__name__ in OPENINGS:
            texts[0] = texts[0].removeprefix(OPENINGS[form.__name__])
        prose = rng.choice(PROSE)
        reply = prose + "".join(texts)
        assert understood(reply) == [expected(call) for call in calls], reply
        cut = rng.randrange(len(reply))
        ends = [len(prose) + len("".join(texts[: n + 1]).rstrip()) for n in range(len(texts))]
        whole = sum(end <= cut for end in ends)
        found = understood(reply[:cut])
        assert len(found) >= whole or not whole, reply[:cut]
        assert found == [expected(call) for call in calls][: len(found)], reply[:cut]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_a_reply_may_be_cut_off_anywhere(form: Callable[[str, dict[str, str]], str]) -> None:
    rng = random.Random(form.__name__)
    calls = [a_call(rng), a_call(rng)]
    first, second = (form(*call) for call in calls)
    reply = f"I look.\n{first}{second}"
    for cut in range(len(reply) + 1):
        found = understood(reply[:cut])
        assert found == [expected(call) for call in calls][: len(found)], reply[:cut]
        assert found or cut < len("I look.\n" + first.rstrip()), reply[:cut]
    assert len(found) == 2


def test_a_reply_that_is_cut_off_says_so() -> None:
    for form in FORMS:
        reply = form("write", {"path": "a.py", "content": "x = 1\n" * 9})
        with pytest.raises(ToolError, match="cut off"):
            parse_actions(reply[: len(reply) // 2], TOOLS)


def test_an_unknown_tool_is_refused_in_every_form() -> None:
    for form in FORMS:
        with pytest.raises(ToolError, match="no tool 'browse'"):
            parse_actions(form("browse", {"path": "x"}), TOOLS)


def test_ten_thousand_mutations_are_read_without_a_crash() -> None:
    rng = random.Random(7)
    pieces = [
        "<",
        ">",
        '"',
        "'",
        "{",
        "}",
        "[",
        "]",
        "\\",
        "\n",
        "</tool_call>",
        "<|end|>",
        "=",
        ":",
    ]
    replies = [form(*a_call(rng)) for form in FORMS for _ in range(10)]
    for _ in range(10_000):
        reply = rng.choice(replies)
        for _ in range(rng.randrange(1, 4)):
            at, to = sorted(rng.randrange(len(reply) + 1) for _ in range(2))
            kind = rng.randrange(4)
            if kind == 0:
                reply = reply[:at] + rng.choice(pieces) + reply[at:]
            elif kind == 1:
                reply = reply[:at] + reply[min(to, at + 5) :]
            elif kind == 2:
                reply = reply[:to] + reply[at:to] + reply[to:]
            else:
                reply = reply[:to]
        assert all(name in TOOLS for name, _ in understood(reply))


@pytest.mark.parametrize(
    ("reply", "thought", "text", "names"),
    [
        (
            "<|channel|>analysis<|message|>I need the file.<|end|><|start|>assistant<|channel|>"
            'commentary to=functions.read <|constrain|>json<|message|>{"path":"a.py"}<|call|>',
            "I need the file.",
            "",
            ["read"],
        ),
        (
            "<|channel|>analysis<|message|>Done.<|end|><|start|>assistant<|channel|>final<|message|>"
            "It is fixed.<|return|>",
            "Done.",
            "It is fixed.",
            [],
        ),
        (
            "<|channel|>commentary<|message|>I read it.<|end|><|start|>assistant to=functions.read"
            '<|channel|>commentary json<|message|>{"path":"a.py"}<|call|>',
            "",
            "I read it.",
            ["read"],
        ),
        (
            "<think>\nThe sign is wrong.\n</think>\n\nI fix it.\n\n<tool_call>\n<function=read>\n"
            "<parameter=path>\na.py\n</parameter>\n</function>\n</tool_call>",
            "The sign is wrong.",
            "I fix it.",
            ["read"],
        ),
        ("hm, wrong\n</think>\n\nYes.", "hm, wrong", "Yes.", []),
        ("<think>\n\n</think>\n\nYes.", "", "Yes.", []),
        ("<|channel>thought\n<channel|>Yes.", "", "Yes.", []),
        ('[THINK]hm[/THINK][TOOL_CALLS]read[ARGS]{"path": "a"}', "hm", "", ["read"]),
        (
            '<|channel>thought\nhm<channel|><|tool_call>call:read{path:<|"|>a<|"|>}<tool_call|>',
            "hm",
            "",
            ["read"],
        ),
        (
            '[TOOL_CALLS][{"name": "read", "arguments": {"path": "a"}}, {"name": "shell", '
            '"arguments": {"command": "ls"}}]',
            "",
            "",
            ["read", "shell"],
        ),
        (
            '<|tool_call_start|>[read(path="a"), list(path="b")]<|tool_call_end|>',
            "",
            "",
            ["read", "list"],
        ),
        ('call:read{path:"a",lines:3}', "", "", ["read"]),
        (
            "<think>\nI read it.\n<tool_call>\n<function=read>\n<parameter=path>\na\n</parameter>\n"
            "</function>\n</tool_call>",
            "I read it.",
            "",
            ["read"],
        ),
        (
            '<think>A call is <tool_call>{"name": "read"}</tool_call>.</think>Yes.',
            'A call is <tool_call>{"name": "read"}</tool_call>.',
            "Yes.",
            [],
        ),
        (
            'hm</think>\n\n<｜DSML｜function_calls>\n<｜DSML｜invoke name="read">\n'
            '<｜DSML｜parameter name="path" string="true">a</｜DSML｜parameter>\n'
            "</｜DSML｜invoke>\n"
            "</｜DSML｜function_calls>",
            "hm",
            "",
            ["read"],
        ),
        (
            'hm\n[BEGIN FINAL RESPONSE]\n<tool_calls>[{"name": "read", "arguments": {"path": "a"}}]'
            "</tool_calls>",
            "hm",
            "",
            ["read"],
        ),
        (
            "<thinking>hm</thinking>\n[BEGIN FINAL RESPONSE]\nYes.\n[END FINAL RESPONSE]",
            "hm",
            "Yes.",
            [],
        ),
        (
            'Action: ```json\n[{"tool_name": "read", "parameters": {"path": "a"}}]\n```',
            "",
            "",
            ["read"],
        ),
        (
            'function call<|role_sep|>\n{"name": "read", "arguments": {"path": "a"}}'
            "<|message_sep|>",
            "",
            "",
            ["read"],
        ),
        ("<think>hm</think><response>Yes.</response>", "hm", "Yes.", []),
        (
            "Compare [read(x) for x in y] with f(x).",
            "",
            "Compare [read(x) for x in y] with f(x).",
            [],
        ),
        ("Send it to=bob {x}", "", "Send it to=bob {x}", []),
    ],
)
def test_thought_text_and_calls_of_a_raw_reply(
    reply: str, thought: str, text: str, names: list[str]
) -> None:
    parsed = read_reply(reply, TOOLS)
    assert parsed.thought == thought
    assert " ".join(parsed.text.split()) == text
    assert [call.name for call in parsed.calls] == names


@pytest.mark.parametrize(
    "reply",
    ["A `</think>` tag", "```write path=a\n</think>\n```", '{"name": "x", "a": "</think>"}'],
)
def test_a_tag_inside_of_a_reply_ends_no_thought(reply: str) -> None:
    assert split_thought(reply)[0] in ("", "A `</think>")
