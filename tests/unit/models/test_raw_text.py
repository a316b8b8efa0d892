"""Which backends take a raw text, and how a script answers one."""

from __future__ import annotations

import pytest

from localagent import models
from localagent.agent.model_calls import redact_request, transcript_form
from localagent.core.errors import BackendError
from localagent.core.messages import Message
from localagent.models.base import RawText, Request, Text
from localagent.models.ollama import protocol
from localagent.models.scripted import ScriptedModel, ScriptedReply
from localagent.redaction.redactor import Redactor

BRANCH = Request(RawText("if x", branch=(1, 7)), stop=("\n",))
LISTING = Request(RawText("if x", options=5), max_tokens=0)


def test_llamacpp_takes_a_raw_text_and_ollama_says_that_it_does_not() -> None:
    assert [name for name, backend in models.BACKENDS.items() if backend.raw_text] == ["llamacpp"]
    target = protocol.OllamaModel("m", 100, "the server")
    with pytest.raises(BackendError, match="token probabilities"):
        protocol.body(target, BRANCH)


def test_a_script_answers_a_list_and_a_branch() -> None:
    replies = (ScriptedReply("[1]", to="text"), ScriptedReply(" > 1", when="<1 7>"))
    model = ScriptedModel([*replies, ScriptedReply("hello", to="chat")])
    texts = [
        "".join(chunk.text for chunk in model.generate(request) if isinstance(chunk, Text))
        for request in (LISTING, BRANCH, Request([Message("user", "hi")]))
    ]
    assert texts == ["[1]", " > 1", "hello"]
    assert model.tokenize(LISTING).places == ((0, 4),)


def test_a_raw_text_is_redacted_and_a_branch_is_short_in_the_transcript() -> None:
    secret = "sk-ant-api03-" + "Zq7" * 26
    request = redact_request(Request(RawText(f"key = '{secret}'")), Redactor())
    assert isinstance(request.prompt, RawText) and secret not in request.prompt.text
    assert transcript_form(LISTING) == "<text>\nif x"
    assert transcript_form(BRANCH) == "<branch 1 7>\n"
