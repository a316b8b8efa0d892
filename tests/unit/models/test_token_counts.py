"""Where a prompt's tokens and messages are in its text, by the worker and by each backend."""

from __future__ import annotations

import pytest
import toy_llm as toy
from hypothesis import given
from hypothesis import strategies as st
from toy_runs import Chat, Run, request, run_of

from localagent.core.messages import Message
from localagent.models import scripted
from localagent.models.base import Infill, Request, TokenizedPrompt
from localagent.models.llamacpp.worker.chat_template import places, token_ends
from localagent.models.llamacpp.worker.generate import Generator
from localagent.models.server.tokens import TokenEstimator

CHAT: Chat = [
    ("system", "Be brief."),
    ("user", "user"),
    ("assistant", "Ja, größer 😀"),
    ("user", ""),
]
TRIMS = "{% for m in messages %}[{{ m.role }}]{{ m.content | trim }}[/]{% endfor %}"


def cut(generator: Generator, run: Request) -> TokenizedPrompt:
    return generator.tokenize(run)


def said(found: TokenizedPrompt) -> list[str]:
    """What stands at the places."""
    data = found.text.encode()
    return [data[first:last].decode() for first, last in found.places]


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=30), max_size=4))
def test_every_message_is_found_and_every_token_counted(texts: list[str]) -> None:
    generator = Generator(toy.ToyLlm())
    chat: Chat = [("user", text) for text in [*texts, "<|im_end|>", "im_end"]]
    found = cut(generator, run_of(chat, reply_start="So"))
    assert said(found) == [text for _, text in chat]
    assert len(found.ends) == Run(generator, request(chat, reply_start="So")).end.prompt_tokens
    assert list(found.ends) == sorted(found.ends)
    assert found.ends[-1] == len(found.text.encode())


def test_a_template_may_trim_and_may_drop() -> None:
    chat: Chat = [("system", " a\n"), ("user", "\n[user]b ")]
    found = cut(Generator(toy.ToyLlm(template=TRIMS)), run_of(chat))
    assert said(found) == ["a", "[user]b"]
    loud = TRIMS.replace("m.content | trim", "m.content | upper")
    assert said(cut(Generator(toy.ToyLlm(template=loud)), run_of(chat))) == ["", ""]
    last = "{{ messages[-1].content }}"
    assert said(cut(Generator(toy.ToyLlm(template=last)), run_of(chat))) == ["", "\n[user]b "]


def test_a_first_token_of_no_text_and_a_prompt_to_fill_in() -> None:
    model = toy.ToyLlm(template=TRIMS)
    model.begin = (toy.START,)
    assert cut(Generator(model), run_of([("user", "a")])).ends[:2] == (0, 1)
    run = run_of(Infill(prefix="ab", suffix="ü"))
    found = cut(Generator(toy.ToyLlm()), run)
    assert (found.text, said(found), found.ends) == ("abü", ["ab", "ü"], (0, 1, 2, 2, 3, 4, 4))


def test_what_a_model_wrote_is_counted_as_it_wrote_it() -> None:
    generator = Generator(toy.ToyLlm(b"hello"))
    first = Run(generator, request([("user", "Hi")]))
    chat: Chat = [("user", "Hi"), ("assistant", first.text), ("user", "And?")]
    ahead = cut(generator, run_of(chat))
    assert len(ahead.ends) == Run(generator, request(chat)).end.prompt_tokens


@pytest.mark.parametrize(
    ("pieces", "ends"),
    [
        ([b"a", b" b"], (1, 3)),
        ([b" a", b" b"], (1, 3)),  # a space that the tokenizer puts before all text
        ([b"", b"a", b"b"], (0, 1, 3)),  # it leaves the space out
        ([b"a", b"?", b"b"], (1, 1, 3)),  # one that stands for something else
    ],
)
def test_tokens_that_are_not_quite_the_text(pieces: list[bytes], ends: tuple[int, ...]) -> None:
    assert token_ends(b"a b", pieces, ["<s>"]) == ends


def test_longer_control_tokens_go_first() -> None:
    assert token_ends(b"<s><s2>", [b"", b""], ["<s>", "<s2>", "<s><s2>"]) == (7, 7)


def test_places_of_what_is_not_there() -> None:
    assert places("[x]", "[y]", ["a"], "{}") == [(0, 0)]


def test_the_scripted_model_tells_what_it_reports() -> None:
    model = scripted.ScriptedModel(["Hello."])
    asked = Request([Message(r, c) for r, c in CHAT], reply_start="Ü")  # type: ignore[arg-type]
    found = model.tokenize(asked)
    *_, end = model.generate(asked)
    assert len(found.ends) == end.usage.prompt_tokens  # type: ignore[union-attr]
    assert said(found) == [text for _, text in CHAT]
    assert found.ends[-1] == len(found.text.encode())
    assert said(model.tokenize(Request(Infill("a", "b<suffix>")))) == ["a", "b<suffix>"]


def test_ollama_spreads_what_the_server_counted() -> None:
    tokens = TokenEstimator()
    guessed = tokens.spread(["a" * 30, "ü" * 30])
    assert not guessed.exact
    assert said(guessed) == ["a" * 30, "ü" * 30]
    tokens.record(["a" * 600, "b" * 300], 300)
    told = tokens.spread(["a" * 600, "b" * 300])
    assert len(told.ends) == 300
    assert (told.ends[199], told.ends[-1]) == (600, 900)
    assert tokens.spread([]) == TokenizedPrompt("", (), (), exact=False)
