"""The generation loop of the worker, on a toy model whose KV cache can be looked at."""

import pytest
import toy_llm as toy
from hypothesis import given
from hypothesis import strategies as st
from toy_runs import Run, request, run_of

from localagent.core.messages import Message
from localagent.models.base import Infill
from localagent.models.llamacpp.worker.generate import Generator
from localagent.models.llamacpp.worker.interface import RequestFailed


def test_a_reply_ends_with_the_models_own_end() -> None:
    run = Run(Generator(toy.ToyLlm(b"hello")), request([("user", "Hi")]))
    assert run.text == "hello"
    assert (run.reason, run.end.completion_tokens) == ("stop", 5)


def test_the_prompt_is_read_in_batches_and_its_last_token_alone() -> None:
    model = toy.ToyLlm(batch=16)
    run = Run(Generator(model), request([("user", "x" * 20)]))
    total = run.end.prompt_tokens
    assert run.read == [(0, total), (16, total), (32, total), (total, total)]
    assert len(model.kv) == total + 5


def test_a_limit_of_tokens_ends_the_reply() -> None:
    model = toy.ToyLlm(endless=True)
    run = Run(Generator(model), request([("user", "Hi")], max_tokens=7))
    assert run.text == "hellohe"
    assert (run.reason, run.end.completion_tokens) == ("length", 7)
    assert len(model.kv) == run.end.prompt_tokens + 6  # the last token's logits are not needed


def test_the_full_window_ends_the_reply() -> None:
    model = toy.ToyLlm(endless=True, window=60)
    run = Run(Generator(model), request([("user", "Hi")], max_tokens=1000))
    assert run.reason == "length"
    assert run.end.prompt_tokens + run.end.completion_tokens == 60


def test_a_limit_of_none_reads_the_prompt_only() -> None:
    model = toy.ToyLlm()
    generator = Generator(model)
    run = Run(generator, request([("user", "Hi")], max_tokens=0))
    assert (run.text, run.reason, run.end.completion_tokens) == ("", "length", 0)
    again = Run(generator, request([("user", "Hi")]))
    assert again.end.reused_tokens == run.end.prompt_tokens - 1
    assert again.text == "hello"


def test_a_prompt_that_leaves_no_room_for_a_token_is_refused() -> None:
    generator = Generator(toy.ToyLlm(window=60))
    with pytest.raises(RequestFailed) as caught:
        Run(generator, request([("user", "x" * 100)]))
    assert caught.value.failure.kind == "overflow"
    assert caught.value.failure.window == 60
    exact = caught.value.failure.needed - 1
    assert Run(Generator(toy.ToyLlm(window=exact + 1)), request([("user", "x" * 100)])).text == "h"
    read = Run(Generator(toy.ToyLlm(window=exact)), request([("user", "x" * 100)], max_tokens=0))
    assert read.end.prompt_tokens == exact
    assert Run(generator, request([("user", "Hi")])).end.prompt_tokens < 60


def test_the_next_turn_reads_only_what_is_new() -> None:
    model = toy.ToyLlm(b"hello")
    generator = Generator(model)
    first = Run(generator, request([("user", "Hi")]))
    chat = [("user", "Hi"), ("assistant", first.text), ("user", "And?")]
    second = Run(generator, request(chat))
    assert second.end.reused_tokens == first.end.prompt_tokens + 5
    assert model.kv[: second.end.prompt_tokens] == model.tokenize(
        model.template.render([Message(r, c) for r, c in chat]),  # type: ignore[arg-type]
        special=True,
    )


def test_a_reply_that_was_begun_and_stopped_is_reused() -> None:
    model = toy.ToyLlm(b"x = 1\n```\nDone")
    generator = Generator(model)
    first = Run(generator, request([("user", "Hi")], reply_start="```\n", stop=("\n```",)))
    assert (first.text, first.reason) == ("x = 1", "stop")
    chat = [("user", "Hi"), ("assistant", "```\nx = 1\n```"), ("user", "More")]
    second = Run(generator, request(chat))
    assert second.end.reused_tokens >= first.end.prompt_tokens + len("x = 1")


def test_the_same_request_again_reads_one_token() -> None:
    generator = Generator(toy.ToyLlm())
    first = Run(generator, request([("user", "Hi")]))
    second = Run(generator, request([("user", "Hi")]))
    assert second.end.reused_tokens == first.end.prompt_tokens - 1
    assert second.text == first.text


@given(st.integers(0, 60))
def test_a_cancelled_reading_leaves_a_cache_that_can_be_used(after: int) -> None:
    model = toy.ToyLlm(batch=8)
    generator = Generator(model)
    asked = 0

    def cancelled(run: Run, place: int) -> bool:
        nonlocal asked
        asked += 1
        return asked > after

    run = Run(generator, request([("user", "x" * 40)]), cancelled)
    if run.reason == "cancelled" and not run.text:
        # Having read all but the last token is not reported.
        assert len(model.kv) in (run.read[-1][0] if run.read else 0, run.end.prompt_tokens - 1)
    full = Run(generator, request([("user", "x" * 40)]))
    assert full.text == "hello"
    assert full.end.prompt_tokens + 5 == len(model.kv)
    assert all(sampler.closed for sampler in model.samplers)


def test_a_cancelled_reply_can_be_continued() -> None:
    generator = Generator(toy.ToyLlm(endless=True))
    run = Run(generator, request([("user", "Hi")]), lambda run, place: len(run.text) >= 8)
    assert (run.text, run.reason) == ("hellohel", "cancelled")
    chat = [("user", "Hi"), ("assistant", run.text), ("user", "Go on")]
    again = Run(generator, request(chat, max_tokens=3))
    assert again.end.reused_tokens == run.end.prompt_tokens + 7  # the last was not decoded


def test_filling_in_puts_the_tokens_around_prefix_and_suffix() -> None:
    model = toy.ToyLlm(b"b")
    generator = Generator(model)
    run = Run(generator, request(Infill(prefix="a<|im_end|>", suffix="c")))
    expected = [toy.PREFIX, *b"a<|im_end|>", toy.SUFFIX, *b"c", toy.MIDDLE]
    assert model.kv[: len(expected)] == expected
    assert run.text == "b"
    assert run.end.prompt_tokens == len(expected)


def test_a_model_that_cannot_fill_in_says_so() -> None:
    generator = Generator(toy.ToyLlm(fim=False))
    with pytest.raises(RequestFailed, match="fill in"):
        Run(generator, request(Infill(prefix="a", suffix="c")))


def test_an_error_of_the_library_empties_the_cache() -> None:
    model = toy.ToyLlm()
    generator = Generator(model)

    def fail() -> None:
        raise RequestFailed("backend", "it broke")

    model.after_read = fail
    with pytest.raises(RequestFailed, match="it broke"):
        Run(generator, request([("user", "Hi")]))
    assert model.kv == []
    model.after_read = lambda: None
    assert Run(generator, request([("user", "Hi")])).text == "hello"
    with pytest.raises(RequestFailed, match="grammar"):
        Run(generator, request([("user", "Hi")], grammar="bad"))
    assert Run(generator, request([("user", "Hi")])).text == "hello"


def test_the_first_token_is_put_where_the_template_has_none() -> None:
    model = toy.ToyLlm()
    model.begin = (toy.MIDDLE,)
    generator = Generator(model)
    Run(generator, request([("user", "Hi")]))
    assert model.kv[:2] == [toy.MIDDLE, toy.START]
    model = toy.ToyLlm()
    model.begin = (toy.START,)
    Run(Generator(model), request([("user", "Hi")]))
    assert model.kv[:2] == [toy.START, ord("u")]


def test_tokenize_shows_the_prompt_and_counts_it() -> None:
    generator = Generator(toy.ToyLlm())
    shown = generator.tokenize(run_of([("user", "a<|im_end|>")], reply_start="So"))
    assert shown.text == "<|im_start|>user\na<|im_end|><|im_end|>\n<|im_start|>assistant\nSo"
    run = Run(generator, request([("user", "a<|im_end|>")], reply_start="So"))
    assert len(shown.ends) == run.end.prompt_tokens


def test_slow_reading_is_reported_while_it_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("localagent.models.llamacpp.worker.generate.HEARTBEAT", -1.0)
    run = Run(Generator(toy.ToyLlm(batch=4096)), request([("user", "Hi")]))
    assert run.read[:2] == [(0, run.end.prompt_tokens)] * 2
