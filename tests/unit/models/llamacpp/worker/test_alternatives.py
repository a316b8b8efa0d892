"""The likely tokens of a raw text's places, and the branches that continue some of them."""

from __future__ import annotations

import numpy
import toy_llm as toy
from toy_runs import Run, run_of

from localagent.models.alternatives import TokenOption, TokenPlace, dump_places, load_places
from localagent.models.base import RawText, Request
from localagent.models.llamacpp import protocol
from localagent.models.llamacpp.worker import generate
from localagent.models.llamacpp.worker.generate import Generator
from localagent.models.llamacpp.worker.sampler import likeliest

TEXT = "a text of several words that is longer than one batch"


def listing(text: str = TEXT, start: int = 0, options: int = 2) -> Request:
    return run_of(RawText(text, start, options), max_tokens=0)


def branch(place: int, token: int, text: str = TEXT) -> Request:
    return run_of(RawText(text, branch=(place, token)), stop=("\n",))


def several(*runs: Request) -> protocol.Generate:
    return protocol.Generate(id=1, requests=runs)


def test_a_text_is_read_once_and_each_place_from_the_start_on_has_its_options() -> None:
    model = toy.ToyLlm(batch=16)
    run = Run(Generator(model), several(listing("abcdef", start=3)))
    places = load_places(run.text)
    assert [(p.number, p.start, p.end) for p in places] == [
        *((3, 3, 4), (4, 4, 5), (5, 5, 6)),
        (6, 6, 6),  # after the text
    ]
    assert places[0].options == (TokenOption(ord("d"), "d", 0.5), TokenOption(ord("e"), "e", 0.25))
    assert [row.token for step in model.steps for row in step] == list(b"abcdef")
    assert (run.reason, run.end.prompt_tokens, run.end.completion_tokens) == ("length", 6, 0)


def test_a_long_text_is_read_in_steps() -> None:
    model = toy.ToyLlm(batch=16)
    run = Run(Generator(model), several(listing()))
    assert [p.number for p in load_places(run.text)] == list(range(1, len(TEXT) + 1))
    assert max(map(len, model.steps)) == 16


def test_branches_share_the_text_that_was_read_and_are_written_side_by_side() -> None:
    model = toy.ToyLlm(b"hi", batch=64, parallel=2, idle=28)
    generator = Generator(model)
    Run(generator, several(listing()))
    read = len(model.steps)
    run = Run(generator, several(*(branch(n, ord("x")) for n in range(5, 17))))
    assert {run.text_of(n) for n in range(12)} == {"hi"}
    assert [run.ends[n].reused_tokens for n in range(12)] == list(range(5, 17))
    assert max(map(len, model.steps[read:])) == 12
    first = model.steps[read]
    assert [(row.token, row.position) for row in first] == [(ord("x"), n) for n in range(5, 17)]
    assert model.kv == list(TEXT.encode())


def test_a_branch_of_a_text_that_is_gone_is_empty() -> None:
    model = toy.ToyLlm(b"hi", batch=64)
    run = Run(Generator(model), several(branch(7, ord("x"))))
    assert (run.text, run.reason, model.steps) == ("", "length", [])


def test_branches_leave_the_other_texts_in_the_cache() -> None:
    model = toy.ToyLlm(b"hi", batch=64)
    generator = Generator(model)
    chat = [("user", "A long question. " * 9)]
    Run(generator, several(run_of(chat)))
    Run(generator, several(listing()))
    for _ in range(20):
        Run(generator, several(*(branch(n, ord("x")) for n in range(5, 9))))
    again = Run(generator, several(run_of(chat)))
    assert again.end.reused_tokens == again.end.prompt_tokens - 1


def test_a_cancelled_listing_says_nothing() -> None:
    model = toy.ToyLlm(batch=16)
    run = Run(Generator(model), several(listing()), lambda run, place: len(run.read) > 1)
    assert (run.text, run.reason) == ("", "cancelled")


def test_options_are_limited_so_that_a_reply_fits_into_a_message() -> None:
    run = Run(Generator(toy.ToyLlm()), several(listing("\x01\x01", options=1000)))
    assert len(load_places(run.text)[0].options) == generate.MOST_OPTIONS


def test_the_likeliest_tokens_come_with_their_share_of_all() -> None:
    logits = numpy.full(1000, -50.0, dtype=numpy.float32)
    logits[[7, 3, 9]] = numpy.log([0.5, 0.3, 0.2])
    found = likeliest(logits, 2)
    assert [token for token, _ in found] == [7, 3]
    assert [round(share, 4) for _, share in found] == [0.5, 0.3]


def test_a_list_of_places_survives_the_way_through_a_reply() -> None:
    options = (TokenOption(5, ' "\n\u2028', 0.25), TokenOption(6, "\ufffd", 0.125))
    places = [TokenPlace(1, 3, 4, options), TokenPlace(2, 4, 9, ())]
    assert load_places(dump_places(places)) == places
    assert load_places("def f():\n    pass") == []


def test_another_line_after_the_text_s_first_words_leaves_the_text_whole() -> None:
    model = toy.ToyLlm(b"hi", batch=64)
    generator = Generator(model)
    Run(generator, several(listing()))
    run = Run(generator, several(run_of(RawText(TEXT[:40] + "X"), stop=("\n",))))
    assert (run.text, run.end.reused_tokens) == ("hi", 40)
    assert [held for held in model.sequence if held] == [list(TEXT.encode())]
