"""The scripted model keeps to the Model protocol, so that tests with it mean something."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localagent.core import errors
from localagent.core.errors import BackendError, ContextOverflow, UsageError, WorkerDied
from localagent.core.messages import Message
from localagent.models.base import (
    Chunk,
    Finish,
    FinishReason,
    Infill,
    Model,
    Profile,
    Reading,
    Request,
    Text,
)
from localagent.models.scripted import SCRIPTED, ScriptedModel, ScriptedReply, load, tokens

ASK = Request([Message("system", "be brief"), Message("user", "fix it")])


def text_of(chunks: Iterator[Chunk]) -> tuple[str, FinishReason]:
    *before, last = chunks
    assert isinstance(last, Finish)
    assert not any(isinstance(chunk, Finish) for chunk in before)
    return "".join(chunk.text for chunk in before if isinstance(chunk, Text)), last.reason


def test_it_is_a_model_that_gives_replies_in_order() -> None:
    model: Model = ScriptedModel(["first one", ScriptedReply("second")])
    assert text_of(model.generate(ASK)) == ("first one", "stop")
    assert text_of(model.generate(ASK)) == ("second", "stop")
    with pytest.raises(BackendError, match=r"no reply for request 3: 'fix it'"):
        text_of(model.generate(ASK))


@given(st.text())
def test_pieces_join_to_the_text(text: str) -> None:
    assert "".join(tokens(text)) == text
    model = ScriptedModel([text])
    assert text_of(model.generate(Request([], max_tokens=10**6)))[0] == text
    assert model.count(text) == len(tokens(text))


def test_limits() -> None:
    model = ScriptedModel(["one two three END four", "one two", "one"])
    assert text_of(model.generate(replace(ASK, stop=("never", "END")))) == (
        "one two three ",
        "stop",
    )
    assert text_of(model.generate(replace(ASK, max_tokens=1))) == ("one", "length")
    assert text_of(model.generate(replace(ASK, max_tokens=0))) == ("", "length")
    assert text_of(model.generate(replace(ASK, max_tokens=1))) == ("one", "stop")


def test_the_start_of_the_reply_is_not_repeated() -> None:
    model = ScriptedModel(["```python\nx = 1\n```", "x = 2"])
    ask = replace(ASK, reply_start="```python\n")
    assert text_of(model.generate(ask))[0] == "x = 1\n```"
    assert text_of(model.generate(ask))[0] == "x = 2"
    assert model.prompts[0].endswith("<assistant>\n```python\n")


def test_it_counts_what_it_reads_again() -> None:
    model = ScriptedModel(["yes", "no"])
    *_, first = model.generate(ASK)
    longer = [*ASK.prompt, Message("assistant", "yes"), Message("user", "more")]  # type: ignore[misc]
    reading, *_, second = model.generate(Request(longer))
    assert isinstance(first, Finish) and isinstance(second, Finish)
    assert first.usage.reused_tokens == 0
    assert second.usage.reused_tokens > first.usage.prompt_tokens
    assert reading == Reading(
        second.usage.reused_tokens, second.usage.prompt_tokens, second.usage.reused_tokens
    )
    assert model.requests == [ASK, Request(longer)]


def test_cancel_ends_the_stream_and_not_the_next_one() -> None:
    model = ScriptedModel(["a long reply of many words", "next"])
    chunks = model.generate(ASK)
    while not isinstance(next(chunks), Text):
        pass
    model.cancel()
    [last] = chunks
    assert isinstance(last, Finish) and last.reason == "cancelled"
    assert text_of(model.generate(ASK)) == ("next", "stop")
    model.close()
    with pytest.raises(BackendError):
        model.generate(ASK)


def test_replies_are_chosen_by_what_is_asked() -> None:
    model = ScriptedModel(
        [
            ScriptedReply("filled", to="infill"),
            ScriptedReply("edit", when="(?i)classify.*bug"),
            ScriptedReply("again", when="fix", repeat=True),
            "other",
        ]
    )
    assert text_of(model.generate(ASK))[0] == "again"
    assert text_of(model.generate(Request([Message("user", "Classify:\nbug")])))[0] == "edit"
    assert text_of(model.generate(Request([Message("user", "classify bug")])))[0] == "other"
    assert text_of(model.generate(Request(Infill("a", "b"))))[0] == "filled"
    assert text_of(model.generate(ASK))[0] == "again"
    with pytest.raises(BackendError, match="no reply"):
        text_of(model.generate(Request(Infill("a", "b"))))


def test_faults() -> None:
    kinds = [
        k for k, c in vars(errors).items() if isinstance(c, type) and issubclass(c, BackendError)
    ]
    for kind in kinds:
        model = ScriptedModel([ScriptedReply("half a", error=kind), "fine"])
        chunks = model.generate(ASK)
        with pytest.raises(getattr(errors, kind)) as raised:
            list(chunks)
        assert type(raised.value).__name__ == kind
        assert text_of(model.generate(ASK)) == ("fine", "stop")
    pieces = ScriptedModel([ScriptedReply("half", error="WorkerDied", message="boom")]).generate(
        ASK
    )
    seen = []
    with pytest.raises(WorkerDied, match="boom"):
        for piece in pieces:
            seen.append(piece)
    assert seen[-1] == Text("half")


def test_a_prompt_that_does_not_fit() -> None:
    small = replace(SCRIPTED, profile=Profile(window=10))
    with pytest.raises(ContextOverflow):
        list(ScriptedModel(["x"], small).generate(Request([Message("user", "word " * 20)])))


SECTIONS = """A comment.
--- reply
first
with two lines

--- reply when = "clas+ify", repeat = true
edit
--- reply error = "WorkerHung"
--- reply
"""

SCRIPTS = {
    "s.md": (
        SECTIONS,
        [
            ScriptedReply("first\nwith two lines\n"),
            ScriptedReply("edit", when="clas+ify", repeat=True),
            ScriptedReply(error="WorkerHung"),
            ScriptedReply(),
        ],
    ),
    "s.toml": (
        "[[reply]]\ntext = '''\nx = 1\n'''\n[[reply]]\nto = \"infill\"\n",
        [ScriptedReply("x = 1\n"), ScriptedReply(to="infill")],
    ),
    "s.jsonl": (
        '{"text": "a\\nb"}\n\n{"error": "WorkerDied"}\n',
        [ScriptedReply("a\nb"), ScriptedReply(error="WorkerDied")],
    ),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_script_files(tmp_path: Path, name: str) -> None:
    text, expected = SCRIPTS[name]
    (tmp_path / name).write_text(text)
    assert load(tmp_path / name) == expected


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("s.md", "no reply begins here\n"),
        ("s.md", "--- reply when = nonsense\n"),
        ("s.md", '--- reply when = "("\n'),
        ("s.md", '--- reply whenn = "x"\n'),
        ("s.md", "--- reply repeat = 1\n"),
        ("s.md", '--- reply error = "ToolError"\n'),
        ("s.toml", "[[reply]\n"),
        ("s.toml", "reply = [3]\n"),
        ("s.jsonl", "{\n"),
        ("s.jsonl", "[]\n"),
        ("s.toml", '[[reply]]\nto = "nobody"\n'),
    ],
)
def test_bad_scripts(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=name):
        ScriptedModel.from_file(tmp_path / name)


def test_a_script_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read the script"):
        load(tmp_path / "none.md")


def test_a_reply_may_take_its_time_and_is_cancelled_meanwhile() -> None:
    model = ScriptedModel(
        [ScriptedReply("never said", reading=600.0), ScriptedReply("said", pace=0.001)]
    )
    chunks = model.generate(Request((Message("user", "one"),)))
    assert isinstance(next(chunks), Reading)
    model.cancel()
    *_, finish = chunks
    assert isinstance(finish, Finish)
    assert finish.reason == "cancelled"
    again = list(model.generate(Request((Message("user", "two"),))))
    assert [chunk.text for chunk in again if isinstance(chunk, Text)] == ["said"]
