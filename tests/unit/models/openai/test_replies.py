"""What is sent to each kind of server, and what becomes of its replies."""

from __future__ import annotations

import json
from typing import Any

import pytest

from localagent.core.messages import Message
from localagent.models.base import Chunk, Finish, Infill, Reading, Request, Text, Thought
from localagent.models.catalog import lock
from tests.doubles.openai_server import OpenAiServer, Opener, add

ASK = Request((Message("system", "Be brief."), Message("user", "Is all well?")))
TOOLS = json.dumps([{"type": "function", "function": {"name": "read", "parameters": {}}}])


def text(chunks: list[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks if isinstance(chunk, Text))


def ask(model: Any, request: Request = ASK) -> list[Chunk]:
    return list(model.generate(request))


def test_a_reply_with_its_counts(server: OpenAiServer, opened: Opener) -> None:
    chunks = ask(opened())
    assert text(chunks) == "all is well"
    assert [c for c in chunks if isinstance(c, Reading)][1].done > 0
    (end,) = [c for c in chunks if isinstance(c, Finish)]
    assert (end.reason, end.usage.completion_tokens) == ("stop", 3)
    assert end.usage.prompt_tokens > 10
    (body,) = server.bodies()
    assert body["stream_options"] == {"include_usage": True}
    assert body["model"] == "toy"


def test_a_thought_comes_apart(server: OpenAiServer, opened: Opener) -> None:
    server.thought, server.software = "is it well", "vLLM"
    model = opened(add(server))
    chunks = ask(model, Request(ASK.prompt, think=50))
    assert "".join(c.thought for c in chunks if isinstance(c, Thought)) == "is it well"
    assert text(chunks) == "all is well"
    assert text(ask(model)) == "all is well"
    assert server.bodies()[-1]["chat_template_kwargs"] == {"enable_thinking": False}


def test_tool_calls_go_and_come(server: OpenAiServer, opened: Opener) -> None:
    server.calls = (("read", ('{"path": ', '"a.py"}')), ("list", ()))
    model = opened()
    reply = text(ask(model, Request(ASK.prompt, tools=TOOLS)))
    first = '<tool_call>\n{"name": "read", "arguments": {"path": "a.py"}}\n</tool_call>'
    second = '<tool_call>\n{"name": "list", "arguments": {}}\n</tool_call>'
    assert reply == f"{first}\n{second}"
    said = Message("assistant", f"I look.\n{reply}", calls=("read", "list"))
    results = (Message("tool", "1 x = 1"), Message("tool", "a.py"), Message("user", "go on"))
    ask(model, Request((*ASK.prompt, said, *results), tools=TOOLS))
    messages = server.bodies()[-1]["messages"]
    assert messages[2]["content"] == "I look."
    names = [call["function"]["name"] for call in messages[2]["tool_calls"]]
    assert names == ["read", "list"]
    assert [m.get("tool_call_id") for m in messages[3:5]] == [
        call["id"] for call in messages[2]["tool_calls"]
    ]
    assert "grammar" not in server.bodies()[-1]


def test_calls_of_another_model_are_text(server: OpenAiServer, opened: Opener) -> None:
    said = Message("assistant", "[TOOL_CALLS]read{}", calls=("read",))
    ask(opened(), Request((*ASK.prompt, said, Message("tool", "x"))))
    roles = [message["role"] for message in server.bodies()[-1]["messages"]]
    assert roles == ["system", "user", "assistant", "user"]


@pytest.mark.parametrize(
    ("software", "sent"),
    [
        ("llama.cpp", {"grammar": 'root ::= "yes" | "n\\"o"'}),
        ("vLLM", {"structured_outputs": {"grammar": 'root ::= "yes" | "n\\"o"'}}),
    ],
)
def test_a_choice_by_grammar(
    server: OpenAiServer, opened: Opener, software: str, sent: dict[str, Any]
) -> None:
    server.software = software
    server.answer = lambda body: "yes"
    model = opened(add(server))
    assert text(ask(model, Request(ASK.prompt, choices=("yes", 'n"o')))) == "yes"
    assert sent.items() <= server.bodies()[-1].items()


def test_a_choice_by_schema(server: OpenAiServer, opened: Opener) -> None:
    server.software = "other"
    server.answer = lambda body: '"yes"'
    model = opened(add(server))
    assert text(ask(model, Request(ASK.prompt, choices=("yes", "no")))) == "yes"
    shape = server.bodies()[-1]["response_format"]["json_schema"]["schema"]
    assert shape == {"type": "string", "enum": ["yes", "no"]}


def test_a_server_without_grammars(server: OpenAiServer, opened: Opener) -> None:
    model = opened()
    server.fault = "no-grammar"
    request = Request(ASK.prompt, grammar='root ::= "x"')
    assert text(ask(model, request)) == "all is well"
    assert text(ask(model, request)) == "all is well"
    assert ["grammar" in body for body in server.bodies()] == [True, False, False]


@pytest.mark.parametrize("software", ["llama.cpp", "vLLM", "llama-cpp-python"])
def test_the_beginning_of_a_reply(server: OpenAiServer, opened: Opener, software: str) -> None:
    server.software = software
    forces = software == "llama-cpp-python"
    server.answer = lambda body: "```py\nx = 1" if forces else "x = 1"
    model = opened(add(server))
    assert text(ask(model, Request(ASK.prompt, reply_start="```py\n"))) == "x = 1"
    body = server.bodies()[-1]
    assert (body["messages"][-1]["role"] == "assistant") is not forces
    assert body.get("continue_final_message", False) is (software == "vLLM")
    if forces:
        assert body["grammar"] == 'root ::= "```py\\n" reply\nreply ::= [^\\x00]*'


def test_a_long_beginning_is_no_babble(server: OpenAiServer, opened: Opener) -> None:
    server.software = "llama-cpp-python"
    start = "x" * 40
    server.answer = lambda body: " ".join([start, *("word" for _ in range(50))])
    reply = text(ask(opened(add(server)), Request(ASK.prompt, max_tokens=1, reply_start=start)))
    assert reply.startswith(" word")


def test_the_middle_of_a_file(server: OpenAiServer, opened: Opener) -> None:
    server.answer = lambda body: "return 1"
    model = opened()
    assert text(ask(model, Request(Infill("def f():\n", "\n")))) == "return 1"
    (body,) = server.bodies("/infill")
    assert (body["input_prefix"], body["input_suffix"]) == ("def f():\n", "\n")
    assert "messages" not in body


def test_several_replies_at_once(server: OpenAiServer, opened: Opener) -> None:
    model = opened()
    chunks = list(model.generate_all([ASK, ASK, ASK]))
    ends = [place for place, chunk in chunks if isinstance(chunk, Finish)]
    assert sorted(ends) == [0, 1, 2]
    assert len(server.bodies()) == 3


def test_cancelling_closes_the_connection(server: OpenAiServer, opened: Opener) -> None:
    model = opened()
    server.fault = "hang"
    chunks = []
    for chunk in model.generate(ASK):
        chunks.append(chunk)
        if isinstance(chunk, Text):
            model.cancel()
    assert isinstance(chunks[-1], Finish)
    assert chunks[-1].reason == "cancelled"
    assert server.ended == 1


def test_what_is_pinned(server: OpenAiServer) -> None:
    entry = add(server)
    assert entry.server == "http://127.0.0.1:8080/v1"
    assert entry.report["software"] == "llama.cpp"
    assert entry.report["parameters"] == 7_000_000_000
    profile = entry.profile
    assert (profile.window, profile.parallel, profile.fim) == (8192, 2, True)
    assert lock.load().entry("toy") == entry


def test_what_a_name_tells(server: OpenAiServer) -> None:
    server.software, server.window, server.model = "vLLM", 131_072, "Qwen3-Coder-30B-A3B"
    entry = add(server)
    assert entry.id == "qwen3-coder-30b-a3b"
    assert (entry.profile.planner, entry.profile.window) == ("react", 32_768)
    assert entry.profile.greedy is False
