"""The frames and messages between localagent and the worker."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localagent.core.messages import Message
from localagent.models.base import (
    Finish,
    Infill,
    Reading,
    Request,
    Text,
    Thought,
    TokenizedPrompt,
    Usage,
)
from localagent.models.chat_templates.form import TemplateForm
from localagent.models.llamacpp import protocol


def text_reply(request_id: int, text: str) -> protocol.ChunkReply:
    return protocol.ChunkReply(id=request_id, run=0, chunk=Text(text))


texts = st.text(st.characters(exclude_categories=["Cs"]))


@given(path=st.binary(), window=st.integers(0, 2**31), threads=st.integers(0, 512))
def test_a_request_comes_out_as_it_went_in(path: bytes, window: int, threads: int) -> None:
    message = protocol.Load(
        id=3,
        path=path,
        window=window,
        threads=threads,
        gpu_layers=None,
        extra_bufts=True,
        batch=64,
    )
    frame = protocol.read_frame(io.BytesIO(protocol.encode(message)), protocol.MAX_REQUEST)
    assert frame is not None
    assert protocol.parse_request(frame) == message


@given(contents=st.lists(texts, max_size=4), stop=st.lists(texts, max_size=3), start=texts)
def test_a_conversation_comes_out_as_it_went_in(
    contents: list[str], stop: list[str], start: str
) -> None:
    request = Request(
        prompt=[Message("user", text) for text in contents],
        max_tokens=5,
        stop=tuple(stop),
        temperature=0.5,
        top_p=1.0,
        top_k=0,
        seed=2**32 - 1,
        reply_start=start,
    )
    message = protocol.Generate(id=1, requests=(request, request))
    frame = protocol.read_frame(io.BytesIO(protocol.encode(message)), protocol.MAX_REQUEST)
    assert frame is not None
    assert protocol.parse_request(frame) == message


def test_the_form_of_a_template_and_native_calls_come_out_as_they_went_in() -> None:
    form = TemplateForm(system="user", off={"enable_thinking": False, "thinking_budget": 0})
    load = protocol.Load(path=b"m", window=1, batch=1, form=form, variables={"effort": "low"})
    assert protocol.parse_request(load.model_dump_json().encode()) == load
    messages = [Message("assistant", "x", thought="hm", calls=("read",)), Message("tool", "y")]
    request = Request(messages, think=9, tools="[]", trigger="<tool_call>", min_p=0.1)
    generate = protocol.Generate(id=1, requests=(request,))
    assert protocol.parse_request(generate.model_dump_json().encode()) == generate


@pytest.mark.parametrize(
    "message",
    [
        protocol.ChunkReply(id=1, run=2, chunk=Thought("hm")),
        protocol.ChunkReply(id=1, run=2, chunk=Reading(1, 3, 1)),
        protocol.ChunkReply(id=1, run=2, chunk=Finish("length", Usage(1, 2, 3, 0.25, 0.5))),
        protocol.TokenizeReply(id=1, prompt=TokenizedPrompt("ab", (1, 2), ((0, 2),))),
    ],
)
def test_a_reply_comes_out_as_it_went_in(message: protocol.Reply) -> None:
    assert protocol.parse_reply(protocol.encode(message)[4:]) == message


@pytest.mark.parametrize(
    "request_", [Request(Infill("a", "b")), Request([], seed=-1), Request([], temperature=1e999)]
)
def test_a_request_with_a_number_out_of_range_is_refused(request_: Request) -> None:
    good = isinstance(request_.prompt, Infill)
    body = b'{"op":"generate","id":1,"requests":[{"prompt":[],"seed":-1}]}'
    if good:
        message = protocol.Generate(id=1, requests=(request_,))
        assert protocol.parse_request(protocol.encode(message)[4:]) == message
        return
    with pytest.raises(ValueError):
        protocol.Generate(id=1, requests=(request_,))
    with pytest.raises(protocol.WireError, match="seed"):
        protocol.parse_request(body)


def test_frames_follow_one_another_to_the_end_of_the_stream() -> None:
    replies = [text_reply(1, "a"), protocol.TokenCount(id=2, tokens=7)]
    stream = io.BytesIO(b"".join(protocol.encode(reply) for reply in replies))
    frames = [protocol.read_frame(stream, 100) for _ in range(3)]
    assert [protocol.parse_reply(frame) for frame in frames if frame is not None] == replies
    assert frames[2] is None


@pytest.mark.parametrize("kept", [1, 3, 4, 10])
def test_a_stream_that_ends_inside_a_frame_is_an_error(kept: int) -> None:
    frame = protocol.encode(text_reply(1, "some text"))
    with pytest.raises(protocol.WireError, match="ended"):
        protocol.read_frame(io.BytesIO(frame[:kept]), 1000)


def test_a_frame_over_the_limit_is_refused_before_it_is_read() -> None:
    stream = io.BytesIO(b"\xff\xff\xff\xff" + b"x" * 100)
    with pytest.raises(protocol.WireError, match="4294967295 bytes"):
        protocol.read_frame(stream, protocol.MAX_REPLY)
    assert stream.tell() == 4


def test_a_message_over_the_limit_is_not_sent() -> None:
    with pytest.raises(protocol.WireError, match="the limit"):
        protocol.encode(text_reply(1, "x" * protocol.MAX_REPLY))


@given(st.binary(max_size=60))
def test_bytes_that_are_no_message_are_an_error(body: bytes) -> None:
    for parse in (protocol.parse_request, protocol.parse_reply):
        with pytest.raises(protocol.WireError):
            parse(body)


@pytest.mark.parametrize(
    "body",
    [
        b'{"op":"chunk","id":1,"run":0,"chunk":{"text":"a"},"more":1}',
        b'{"op":"chunk","id":1,"run":0,"chunk":{"text":"a","more":1}}',
        b'{"op":"chunk","id":"1","run":0,"chunk":{"text":"a"}}',
        b'{"op":"chunk","id":-1,"run":0,"chunk":{"text":"a"}}',
        b'{"op":"chunk","id":1,"run":0,"chunk":{"text":1}}',
        b'{"op":"chunk","id":1,"run":0,"chunk":{"done":-1,"total":1,"reused":0}}',
        b'{"op":"chunk","id":1,"run":0,"chunk":{"reason":"done","usage":{}}}',
        b'{"op":"chunk","id":1,"run":0,"chunk":{"reason":"stop","usage":{"prompt_tokens":-1}}}',
        b'{"op":"chunk","id":1,"run":0}',
        b'{"op":"shell","id":1}',
        b'{"op":"cancel","id":1}',
    ],
)
def test_a_reply_must_be_exactly_one_of_the_replies(body: bytes) -> None:
    with pytest.raises(protocol.WireError):
        protocol.parse_reply(body)


@given(st.text())
def test_any_text_can_be_cleaned_and_sent(text: str) -> None:
    sent = protocol.clean(text)
    assert protocol.parse_reply(protocol.encode(text_reply(0, sent))[4:]) == text_reply(0, sent)
    assert len(sent) == len(text)
