"""Several replies side by side, on a toy model whose sequences can be looked at."""

from pathlib import Path
from typing import Any

import pytest
import toy_llm as toy
from toy_runs import Run, request, run_of

from localagent.models.base import Infill, Request
from localagent.models.llamacpp import protocol
from localagent.models.llamacpp.memory_plan import CHECKPOINTS
from localagent.models.llamacpp.worker.generate import Generator
from localagent.models.llamacpp.worker.kv_files import KvFiles

PLAIN = [("system", "Be good. " * 20), ("user", "Hi")]


def several(*runs: Request) -> protocol.Generate:
    return protocol.Generate(id=1, requests=runs)


def samples(count: int, chat: Any = PLAIN, **values: Any) -> protocol.Generate:
    return several(*(run_of(chat, temperature=0.5, seed=n, **values) for n in range(1, count + 1)))


def test_replies_to_one_prompt_are_written_in_common_steps_after_reading_it_once() -> None:
    model = toy.ToyLlm(b"hello", batch=64)
    run = Run(Generator(model), samples(4))
    assert [run.text_of(n) for n in range(4)] == ["hello 1", "hello 2", "hello 3", "hello 4"]
    total = run.ends[0].prompt_tokens
    assert [run.ends[n].reused_tokens for n in range(4)] == [0, total - 1, total - 1, total - 1]
    read = [row for step in model.steps for row in step if not row.wanted]
    assert len(read) == total - 1
    wrote = [step for step in model.steps if step[0].wanted]
    assert [len(step) for step in wrote] == [4] * 8  # seven letters and the end


def test_more_replies_than_fit_take_their_turns() -> None:
    model = toy.ToyLlm(b"hello", parallel=2, batch=64)
    run = Run(Generator(model), samples(5))
    assert [run.text_of(n) for n in range(5)] == [f"hello {n}" for n in range(1, 6)]
    assert max(len(step) for step in model.steps if step[0].wanted) == 2
    assert all(sampler.closed for sampler in model.samplers)


def test_one_run_is_cancelled_and_the_others_go_on() -> None:
    model = toy.ToyLlm(b"hello", batch=64)
    run = Run(
        Generator(model), samples(3), lambda run, place: place == 1 and len(run.text_of(1)) >= 2
    )
    assert [run.reasons[n] for n in range(3)] == ["stop", "cancelled", "stop"]
    assert (run.text_of(0), run.text_of(1), run.text_of(2)) == ("hello 1", "he", "hello 3")


def test_a_cancelled_request_ends_every_run_also_those_that_wait() -> None:
    model = toy.ToyLlm(endless=True, parallel=2, batch=64)
    run = Run(Generator(model), samples(5), lambda run, place: len(run.text_of(0)) >= 3)
    assert set(run.reasons.values()) == {"cancelled"}
    assert len(run.ends) == 5


def test_an_infill_between_two_turns_leaves_the_conversation_in_the_cache() -> None:
    model = toy.ToyLlm(b"hello", batch=64)
    generator = Generator(model)
    first = Run(generator, several(run_of(PLAIN)))
    for _ in range(3):
        Run(generator, several(run_of(Infill(prefix="a = ", suffix="\n"))))
    again = Run(generator, several(run_of([*PLAIN, ("assistant", "hello"), ("user", "More")])))
    assert again.end.reused_tokens == first.end.prompt_tokens + 5


def test_what_has_cost_most_is_given_up_last() -> None:
    model = toy.ToyLlm(b"hi", batch=64, parallel=1)
    generator = Generator(model)
    Run(generator, several(run_of(PLAIN)))
    for number in range(30):
        Run(generator, several(run_of(Infill(prefix=f"{number} = ", suffix="\n"))))
        if number % 10 == 9:
            again = Run(generator, several(run_of(PLAIN)))
            assert again.end.reused_tokens == again.end.prompt_tokens - 1


def test_a_full_cache_gives_up_what_is_idle() -> None:
    model = toy.ToyLlm(b"hi", batch=64, cells=300, window=250)
    generator = Generator(model)
    for letter in "abcdef":
        run = Run(generator, several(run_of([("user", letter * 150)])))
        assert run.text == "hi"


def test_runs_that_do_not_fit_together_are_written_one_after_another() -> None:
    model = toy.ToyLlm(b"hi", batch=64, cells=300, window=250)
    chats = [[("user", letter * 150)] for letter in "abcd"]
    run = Run(Generator(model), several(*(run_of(chat) for chat in chats)))
    assert [run.text_of(n) for n in range(4)] == ["hi"] * 4
    assert set(run.reasons.values()) == {"stop"}


# A model that cannot go back: recurrent layers, or a short sliding window


def last_message(model: toy.ToyLlm, run: Run) -> int:
    """The prompt's tokens up to the end of its last message."""
    return run.end.prompt_tokens - len(model.tokenize("<|im_start|>assistant\n", special=True))


def test_a_model_that_cannot_go_back_reads_only_what_is_new() -> None:
    model = toy.ToyLlm(b"hello", batch=64, whole=True)
    generator = Generator(model)
    first = Run(generator, samples(3))
    assert [first.text_of(n) for n in range(3)] == ["hello 1", "hello 2", "hello 3"]
    on = [*PLAIN, ("assistant", first.text_of(2)), ("user", "More")]
    second = Run(generator, several(run_of(on)))
    assert second.end.reused_tokens == first.end.prompt_tokens + len("hello 3")
    changed = [*PLAIN, ("assistant", "Hello!"), ("user", "More")]
    assert Run(generator, several(run_of(changed))).end.reused_tokens == last_message(model, first)


def test_candidates_of_a_model_that_cannot_go_back_share_their_prompt() -> None:
    model = toy.ToyLlm(b"hello", batch=64, parallel=2, whole=True)
    run = Run(Generator(model), samples(6))
    assert [run.text_of(n) for n in range(6)] == [f"hello {n}" for n in range(1, 7)]
    assert all(run.ends[n].reused_tokens >= last_message(model, run) for n in range(1, 6))


def test_a_model_that_cannot_go_back_forgets_the_end_of_a_cancelled_prompt() -> None:
    model = toy.ToyLlm(b"hello", batch=16, whole=True)
    generator = Generator(model)
    first = Run(generator, several(run_of(PLAIN)))
    on = [*PLAIN, ("assistant", "hello"), ("user", "More " * 50)]
    held = first.end.prompt_tokens + 5

    def cancelled(run: Run, place: int) -> bool:
        return any(done > held + 32 for done, _ in run.read)

    assert Run(generator, several(run_of(on)), cancelled).reason == "cancelled"
    again = Run(generator, several(run_of(on)))
    assert (again.text, again.end.reused_tokens >= last_message(model, first)) == ("hello", True)


def test_a_model_that_cannot_go_back_drops_the_text_after_a_stop_sequence() -> None:
    model = toy.ToyLlm(b"hello END and more", batch=64, whole=True)
    generator = Generator(model)
    first = Run(generator, several(run_of(PLAIN, stop=("END",))))
    on = [*PLAIN, ("assistant", first.text), ("user", "More")]
    assert Run(generator, several(run_of(on))).end.reused_tokens == last_message(model, first)


def test_a_model_that_cannot_go_back_gets_no_drafts() -> None:
    model = copying(TEXT.encode(), whole=True)
    run = Run(Generator(model, clock=lambda: float(len(model.steps))), several(run_of(LONG)))
    assert run.reason == "length"
    assert all(len(step) == 1 for step in model.steps if step[0].wanted)


def test_few_checkpoints_are_kept() -> None:
    model = toy.ToyLlm(b"hello", batch=64, parallel=4, idle=12, whole=True)
    generator = Generator(model)
    for letter in "abcdefghij":
        Run(generator, several(run_of([("user", letter * 20)])))
    states = {point for slot in generator._slots.all for point in slot.states}
    assert len(states) == CHECKPOINTS


def test_a_model_that_cannot_go_back_resumes_from_disk(tmp_path: Path) -> None:
    def generator() -> Generator:
        return Generator(
            toy.ToyLlm(b"hello", batch=64, whole=True), KvFiles(tmp_path, "key", 1 << 20)
        )

    first = generator()
    run = Run(first, several(run_of(PLAIN, continues=True)))
    assert first.keep() == run.end.prompt_tokens + 5
    on = [*PLAIN, ("assistant", "hello"), ("user", "More")]
    assert Run(generator(), several(run_of(on))).end.reused_tokens == run.end.prompt_tokens + 5
    other = [*PLAIN, ("assistant", "Hello!"), ("user", "More")]
    again = Run(generator(), several(run_of(other)))
    assert again.end.reused_tokens == last_message(toy.ToyLlm(), run)


def test_a_restored_sliding_window_does_not_go_back(tmp_path: Path) -> None:
    """llama.cpp writes only the last tokens of a sliding window to a file."""

    def generator() -> Generator:
        model = toy.ToyLlm(b"hello", batch=64)
        model.slides = True
        return Generator(model, KvFiles(tmp_path, "key", 1 << 20))

    first = generator()
    held = Run(first, several(run_of(PLAIN, continues=True))).end.prompt_tokens + 5
    assert first.keep() == held
    second = generator()
    on = [*PLAIN, ("assistant", "hello"), ("user", "More")]
    assert Run(second, several(run_of(on))).end.reused_tokens == held
    other = [*PLAIN, ("assistant", "Hello!"), ("user", "More")]
    assert Run(second, several(run_of(other))).end.reused_tokens == 0
    assert Run(second, several(run_of(other))).end.reused_tokens > held  # which it has read itself


def test_threads_follow_the_machine() -> None:
    model = toy.ToyLlm(b"hello")
    wanted = iter([2, 2, 1, 1, 1, 2] + [2] * 20)
    Run(Generator(model, threads=lambda: next(wanted)), several(run_of([("user", "Hi")])))
    assert model.threads == [2, 1, 2]


# Guesses that are checked


def copying(reply: bytes, **values: Any) -> Any:
    return toy.ToyLlm(reply, batch=512, **values)


TEXT = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen. " * 3
LONG = [("user", f"Say this again: {TEXT}")]


@pytest.mark.parametrize("unsure", [(), (3, 40, 41, 90), tuple(range(0, 300, 7)), range(300)])
def test_guessing_changes_nothing_but_the_number_of_steps(unsure: Any) -> None:
    plain, quick = copying(TEXT.encode()), copying(TEXT.encode())
    quick.unsure = unsure
    slow = Run(Generator(plain), request(LONG, max_tokens=400, drafts=False))
    # Each step takes as long as any other, however busy this machine is.
    fast = Run(
        Generator(quick, clock=lambda: float(len(quick.steps))),
        several(run_of(LONG, max_tokens=400)),
    )
    assert fast.text == slow.text == TEXT
    assert fast.reason == slow.reason == "stop"
    assert max(quick.sequence, key=len) == max(plain.sequence, key=len)
    if not unsure:
        assert len(quick.steps) < len(plain.steps) / 3


def test_guessing_keeps_to_the_limit_and_to_stop_sequences() -> None:
    for values in ({"max_tokens": 50}, {"max_tokens": 400, "stop": ("eight",)}):
        run = Run(Generator(copying(TEXT.encode())), several(run_of(LONG, **values)))
        plain = Run(Generator(copying(TEXT.encode())), request(LONG, drafts=False, **values))
        assert (run.text, run.reason) == (plain.text, plain.reason)


def test_what_was_guessed_is_there_for_the_next_turn() -> None:
    model = copying(TEXT.encode())
    generator = Generator(model)
    first = Run(generator, several(run_of(LONG, max_tokens=400)))
    again = [*LONG, ("assistant", first.text), ("user", "Thanks")]
    second = Run(generator, several(run_of(again)))
    assert second.end.reused_tokens >= first.end.prompt_tokens + len(first.text) - 1


# The cache on disk


def test_the_fixed_beginning_is_read_once_for_all_processes(tmp_path: Path) -> None:
    def ask(question: str) -> Run:
        generator = Generator(toy.ToyLlm(batch=64), KvFiles(tmp_path, "toy", 1 << 20))
        chat = [PLAIN[0], ("user", question)]
        return Run(generator, several(run_of(chat, fixed=1)))

    first, second = ask("Hi"), ask("Something else")
    assert first.end.reused_tokens == 0
    assert second.end.reused_tokens >= len(PLAIN[0][1])
    assert second.text == "hello"


def test_a_kept_session_goes_on_in_another_process(tmp_path: Path) -> None:
    files = KvFiles(tmp_path, "toy", 1 << 20)
    generator = Generator(toy.ToyLlm(b"unable"), files)
    first = Run(generator, several(run_of(PLAIN, continues=True)))
    Run(generator, several(run_of(Infill(prefix="a" * 90, suffix="b" * 90))))
    kept = generator.keep()
    assert kept == first.end.prompt_tokens + 6
    other = Generator(toy.ToyLlm(b"ok"), KvFiles(tmp_path, "toy", 1 << 20))
    chat = [*PLAIN, ("assistant", "unable"), ("user", "Why?")]
    assert Run(other, several(run_of(chat))).end.reused_tokens == kept


def test_without_a_session_nothing_is_kept(tmp_path: Path) -> None:
    generator = Generator(toy.ToyLlm(), KvFiles(tmp_path, "toy", 1 << 20))
    assert generator.keep() == 0
    Run(generator, several(run_of(PLAIN)))
    assert generator.keep() == 0
    assert Generator(toy.ToyLlm()).keep() == 0
