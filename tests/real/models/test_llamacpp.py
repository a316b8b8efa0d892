"""The engine on a real model: what it writes, what it reuses, and how it ends."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from localagent.core.errors import BackendError, ContextOverflow, ModelLoadError, WorkerDied
from localagent.core.messages import Message
from localagent.models import gguf
from localagent.models.alternatives import load_places
from localagent.models.base import (
    Chunk,
    Finish,
    Infill,
    ModelInfo,
    ModelWarning,
    Profile,
    RawText,
    Reading,
    Request,
    Text,
    Usage,
)
from localagent.models.catalog import lock, manage
from localagent.models.llamacpp.backend import LlamaCpp

pytestmark = pytest.mark.real_model

INFO = ModelInfo("qwen", "llamacpp", "", Profile(window=2048, fim=True))
LONG = Message("user", "Say nothing.\n" + "The quick brown fox jumps over the lazy dog. " * 40)


@pytest.fixture(scope="module")
def model(model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaCpp]:
    """A loaded model, shared by the tests."""
    with LlamaCpp(model_path, INFO, batch=64, logs=tmp_path_factory.mktemp("logs")) as model:
        yield model


def ask(question: str) -> list[Message]:
    return [Message("user", question)]


def run(model: LlamaCpp, request: Request) -> tuple[str, Finish]:
    """The text of a reply, and its end."""
    chunks = list(model.generate(request))
    end = chunks[-1]
    assert isinstance(end, Finish)
    return "".join(chunk.text for chunk in chunks if isinstance(chunk, Text)), end


ESSAY = Request(ask("Write a long essay about the history of bridges."), max_tokens=24)


def test_greedy_replies_repeat(model: LlamaCpp) -> None:
    first, end = run(model, ESSAY)
    assert "bridge" in first.lower()
    assert (end.reason, end.usage.completion_tokens) == ("length", 24)
    second, end = run(model, ESSAY)
    assert second == first
    assert end.usage.reused_tokens == end.usage.prompt_tokens - 1


def test_a_seed_repeats_and_another_differs(model: LlamaCpp) -> None:
    def sample(seed: int) -> str:
        question = ask("Invent a name for a robot cat and tell its story.")
        return run(model, Request(question, 24, temperature=1.2, top_p=1.0, seed=seed))[0]

    assert sample(1) == sample(1)
    assert len({sample(seed) for seed in range(1, 4)}) > 1


def test_the_model_ends_its_reply(model: LlamaCpp) -> None:
    text, end = run(model, Request(ask("Answer with the word yes and nothing else."), 20))
    assert end.reason == "stop"
    assert "yes" in text.lower()
    assert "<|" not in text


def test_a_stop_sequence_is_cut_off(model: LlamaCpp) -> None:
    whole, _ = run(model, ESSAY)
    word = max(whole.split()[3:], key=len)
    start = whole.index(word)
    for stop in (word, whole[start - 1 : start + 2]):
        text, end = run(model, Request(ESSAY.prompt, 24, stop=(stop, "never")))
        assert text == whole[: whole.index(stop)]
        assert end.reason == "stop"


def test_a_grammar_leaves_only_what_it_allows(model: LlamaCpp) -> None:
    question = ask("Tell me a long story about the sea.")
    for temperature in (0.0, 1.0):
        request = Request(question, 20, temperature=temperature, grammar='root ::= "yes" | "no"')
        text, end = run(model, request)
        assert text in ("yes", "no")
        assert end.reason == "stop"
    with pytest.raises(BackendError, match="grammar"):
        run(model, Request(question, 20, grammar="root ::= ("))
    assert run(model, Request(question, 1))[1].usage.completion_tokens == 1


def test_a_reply_goes_on_from_its_start(model: LlamaCpp) -> None:
    text, _ = run(model, Request(ask("What is 2+2?"), 4, reply_start="The sum of 2 and 2 is"))
    assert "4" in text


def test_characters_of_many_bytes_arrive_whole(model: LlamaCpp) -> None:
    prompt = ask("Repeat exactly: 你好，世界 😀🎉🦊 ёж")
    chunks = list(model.generate(Request(prompt, 40)))
    pieces = [chunk.text for chunk in chunks if isinstance(chunk, Text)]
    assert "你好" in "".join(pieces)
    assert "\ufffd" not in "".join(pieces)


def test_the_next_turn_reads_only_what_is_new(model: LlamaCpp) -> None:
    chat = ask(
        "Write a Python function that reverses a string, with a docstring." + " Please." * 99
    )
    text, first = run(model, Request(chat, 60, temperature=1.0, seed=7))
    known = first.usage.prompt_tokens + first.usage.completion_tokens
    chat += [Message("assistant", text), Message("user", "Now without the docstring.")]
    _, second = run(model, Request(chat, 1))
    assert second.usage.reused_tokens >= 0.98 * known
    chat[-2] = Message("assistant", text.strip() + "\n\n")
    _, third = run(model, Request(chat, 1))
    assert third.usage.reused_tokens >= 0.9 * known


def test_a_limit_of_none_reads_only(model: LlamaCpp) -> None:
    chat = ask("Is the sky blue? " * 30)
    text, end = run(model, Request(chat, 0))
    assert (text, end.usage.completion_tokens) == ("", 0)
    assert run(model, Request(chat, 1))[1].usage.reused_tokens == end.usage.prompt_tokens - 1


def test_progress_of_reading_goes_from_what_is_reused_to_the_whole(model: LlamaCpp) -> None:
    request = Request([Message("system", "Be brief."), LONG], 1)
    reading = [c for c in model.generate(request) if isinstance(c, Reading)]
    assert [r.done for r in reading] == sorted(r.done for r in reading)
    assert reading[0].done == reading[0].reused
    assert reading[-1].done == reading[-1].total
    assert len(reading) > 3


def test_control_tokens_in_messages_are_text(model: LlamaCpp) -> None:
    quiet, loud = (model.tokenize(Request(ask(text * 8))) for text in ("<|im_end|>", "="))
    plain = len(loud.ends) - model.count("=" * 8)
    assert len(quiet.ends) - plain == pytest.approx(model.count("<|im_end|>" * 8), abs=8)
    assert model.count("<|im_end|>") > 3
    text, _ = run(model, Request(ask("Repeat exactly this text: a<|im_end|>b"), 24))
    assert "im_end" in text
    assert quiet.text.count("<|im_end|>") == loud.text.count("<|im_end|>") + 8


def test_filling_in(model: LlamaCpp) -> None:
    fill = Infill("def fib(n):\n    if n < 2:\n        return n\n    ", "\n\n\nprint(fib(10))\n")
    text, end = run(model, Request(fill, 32, stop=("\n\n",)))
    assert "fib(n-1)" in text.replace(" ", "")
    assert end.usage.prompt_tokens > 20


def test_a_prompt_larger_than_the_window(model: LlamaCpp) -> None:
    with pytest.raises(ContextOverflow) as caught:
        run(model, Request(ask("one two " * 2000), 10))
    assert caught.value.needed > caught.value.window == 2048
    assert run(model, ESSAY)[1].usage.completion_tokens == 24


def test_a_reply_ends_at_the_windows_end(model_path: Path, tmp_path: Path) -> None:
    with LlamaCpp(model_path, INFO, window=256, logs=tmp_path) as model:
        chat = [Message("system", "Go on. " * 70), *ESSAY.prompt]  # type: ignore[misc]
        assert 200 < len(model.tokenize(Request(chat)).ends) < 250
        _, end = run(model, Request(chat, 2000))
        assert end.reason == "length"
        assert end.usage.prompt_tokens + end.usage.completion_tokens == 256
        assert run(model, ESSAY)[1].usage.completion_tokens == 24


def cancelled(model: LlamaCpp, request: Request, first: type) -> tuple[list[Chunk], float]:
    """The chunks of a generation that another thread cancels at the first chunk of a kind, and
    the seconds that its end took."""
    chunks: list[Chunk] = []
    at = 0.0
    for chunk in model.generate(request):
        chunks.append(chunk)
        if not at and isinstance(chunk, first):
            at = time.monotonic()
            thread = threading.Thread(target=model.cancel)
            thread.start()
            thread.join()
    return chunks, time.monotonic() - at


@pytest.mark.parametrize("first", [Reading, Text])
def test_a_cancellation_is_answered_by_the_worker(model: LlamaCpp, first: type) -> None:
    model.count("warm")
    pid = model.pid
    prompt = [Message("system", f"Be {first.__name__}."), LONG]
    chunks, seconds = cancelled(model, Request(prompt, 500), first)
    assert isinstance(chunks[-1], Finish)
    assert chunks[-1].reason == "cancelled"
    assert seconds < 2  # the bar is 1 s, at which the worker would be killed
    assert model.pid == pid
    read = [chunk for chunk in chunks if isinstance(chunk, Reading)][-1]
    # What was read before is still good: the same prompt goes on from there.
    _, end = run(model, Request(prompt, 1))
    assert end.usage.reused_tokens >= min(read.done, read.total - 1)


def test_loading_can_be_cancelled(model_path: Path, tmp_path: Path) -> None:
    with LlamaCpp(model_path, INFO, logs=tmp_path) as model:
        model.start()
        generation = model.generate(ESSAY)
        timer = threading.Timer(0.5, model.cancel)
        timer.start()
        chunks = list(generation)
        timer.join()
        assert isinstance(chunks[-1], Finish)
        assert chunks[-1].reason == "cancelled"
        assert run(model, ESSAY)[1].reason == "length"


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_a_killed_worker_is_replaced(model_path: Path, tmp_path: Path) -> None:
    """kill -9 while loading, while reading and while writing."""
    with LlamaCpp(model_path, INFO, logs=tmp_path) as model:
        model.start()
        os.kill(model.pid or 0, signal.SIGKILL)
        chunks = list(model.generate(ESSAY))
        assert [type(chunk) for chunk in chunks[:1]] == [ModelWarning]
        expected = "".join(chunk.text for chunk in chunks if isinstance(chunk, Text))

        chunks = []
        for chunk in model.generate(Request([LONG], 8)):
            chunks.append(chunk)
            if len(chunks) == 1:
                os.kill(model.pid or 0, signal.SIGKILL)
        assert ["out of memory" in c.text for c in chunks if isinstance(c, ModelWarning)] == [True]
        assert isinstance(chunks[-1], Finish)

        with pytest.raises(WorkerDied) as caught:
            for chunk in model.generate(ESSAY):
                if isinstance(chunk, Text):
                    os.kill(model.pid or 0, signal.SIGKILL)
        assert caught.value.signal == signal.SIGKILL
        assert run(model, ESSAY)[0] == expected
        assert model.uses_extra_bufts


def test_the_worker_without_extra_buffer_types_answers_too(
    model_path: Path, tmp_path: Path
) -> None:
    with LlamaCpp(model_path, INFO, logs=tmp_path, use_extra_bufts=False) as model:
        text, end = run(model, Request(ask("What is 2+2? Answer with a number."), 8))
        assert "4" in text
        assert isinstance(end.usage, Usage)


def test_what_a_file_says_of_itself(model_path: Path) -> None:
    found = gguf.read(model_path)
    assert found.architecture == "qwen2"
    assert "Coder" in found.name
    assert (found.context_length, found.layers) == (32768, 28)
    assert found.quantization == "Q4_K_M"
    assert found.kv_bytes_per_token == 28672
    assert found.vocabulary == 151936
    assert gguf.has_fim_tokens(model_path)
    assert found.tools
    shipped = {e.file: e.chat_template_sha256 for e in lock.read(lock.shipped_path()).models}
    assert found.chat_template_sha256 == shipped[model_path.name]


def damaged(path: Path, folder: Path, kind: str) -> Path:
    """A model file with a fault."""
    target = folder / "damaged.gguf"
    with path.open("rb") as file:
        head = file.read(8 << 20)
    if kind == "cut":
        target.write_bytes(head)
    elif kind == "cut in the head":
        target.write_bytes(head[:2000])
    elif kind == "empty":
        target.write_bytes(b"")
    elif kind == "garbage":
        target.write_bytes(bytes(range(256)) * 4096)
    elif kind == "garbage after the magic":
        target.write_bytes(b"GGUF\x03\x00\x00\x00" + b"\xff" * 4096)
    return target


@pytest.mark.parametrize(
    "kind", ["cut", "cut in the head", "empty", "garbage", "garbage after the magic"]
)
def test_a_damaged_file_is_an_error(model_path: Path, tmp_path: Path, kind: str) -> None:
    bad = damaged(model_path, tmp_path, kind)
    for attempt in (
        lambda: manage.add(bad),
        lambda: run(LlamaCpp(bad, INFO, logs=tmp_path), ESSAY),
    ):
        with pytest.raises(ModelLoadError, match=r"damaged\.gguf") as caught:
            attempt()
        assert "\n" not in str(caught.value)


def test_a_model_that_does_not_fit_is_refused(model_path: Path, tmp_path: Path) -> None:
    with (
        LlamaCpp(model_path, INFO, window=1 << 30, logs=tmp_path) as model,
        pytest.raises(ModelLoadError, match=r"needs .* GB .* are free"),
    ):
        run(model, ESSAY)


# Several replies at once, guesses, and the cache on disk

CODE = "".join(
    f"def area_{n}(width: float, height: float) -> float:\n    return width * height * {n}\n\n\n"
    for n in range(1, 7)
)
COPY = Request(
    ask(f"Repeat this file without a change:\n```python\n{CODE}```"),
    max_tokens=160,
    reply_start="```python\n",
)


def run_all(model: LlamaCpp, requests: list[Request]) -> tuple[list[str], dict[int, Finish]]:
    texts, ends = [""] * len(requests), dict[int, Finish]()
    for place, chunk in model.generate_all(requests):
        assert place not in ends
        if isinstance(chunk, Text):
            texts[place] += chunk.text
        elif isinstance(chunk, Finish):
            ends[place] = chunk
    return texts, ends


def test_replies_side_by_side_read_the_prompt_once(model: LlamaCpp) -> None:
    question = [LONG, *ask("Invent a name for a robot cat.")]
    requests = [Request(question, 16, temperature=1.2, top_p=1.0, seed=n) for n in range(4)]
    texts, ends = run_all(model, requests)
    assert len(ends) == 4
    assert len(set(texts)) > 1
    read = [end.usage.prompt_tokens - end.usage.reused_tokens for end in ends.values()]
    assert sorted(read)[:3] == [1, 1, 1]


def test_different_prompts_side_by_side_are_answered_each(model: LlamaCpp) -> None:
    words = ("apple", "bridge", "candle")
    requests = [Request(ask(f"Answer with the word {word} and nothing else."), 8) for word in words]
    texts, _ = run_all(model, requests)
    for word, text in zip(words, texts, strict=True):
        assert word in text.lower()


def test_who_stops_listening_ends_all(model: LlamaCpp) -> None:
    requests = [Request(ESSAY.prompt, 500, temperature=1.0, seed=n) for n in range(4)]
    chunks = model.generate_all(requests)
    next(chunk for _, chunk in chunks if isinstance(chunk, Text))
    chunks.close()  # type: ignore[attr-defined]
    assert run(model, Request(ESSAY.prompt, 2))[1].usage.completion_tokens == 2


def test_guesses_change_nothing(model_path: Path, tmp_path: Path) -> None:
    replies = []
    for drafts in (False, True):
        with LlamaCpp(model_path, INFO, drafts=drafts, logs=tmp_path) as model:
            replies.append(run(model, COPY)[0])
    assert replies[0] == replies[1]
    assert "def area_4" in replies[0]


def test_an_infill_leaves_the_conversation_in_the_cache(model: LlamaCpp) -> None:
    _, first = run(model, Request([LONG], 4))
    run(model, Request(Infill("def add(a, b):\n    ", "\n"), 8))
    _, again = run(model, Request([LONG], 4))
    assert again.usage.reused_tokens == first.usage.prompt_tokens - 1


def test_another_process_begins_where_this_one_left_off(model_path: Path, tmp_path: Path) -> None:
    info = ModelInfo("qwen", "llamacpp", "5" * 64, Profile(window=2048))
    rules = Message("system", LONG.content)

    def opened() -> LlamaCpp:
        return LlamaCpp(model_path, info, logs=tmp_path, cache=tmp_path / "kv")

    with opened() as model:
        first = Request([rules, *ask("Name a bird.")], 12, fixed=1, continues=True)
        reply, end = run(model, first)
        assert end.usage.reused_tokens == 0
        kept = model.keep()
    said = end.usage.prompt_tokens + end.usage.completion_tokens
    assert said - 1 <= kept <= said
    chat = [*first.prompt, Message("assistant", reply), *ask("Another one?")]  # type: ignore[misc]
    with opened() as model:
        _, on = run(model, Request(chat, 12, fixed=1))
        assert on.usage.reused_tokens >= kept - 1
    with opened() as model:
        _, other = run(model, Request([rules, *ask("Name a fish.")], 12, fixed=1))
        assert other.usage.prompt_tokens - other.usage.reused_tokens < 30


def test_what_is_kept_can_be_read_by_its_owner_alone(model_path: Path, tmp_path: Path) -> None:
    info = ModelInfo("qwen", "llamacpp", "6" * 64, Profile(window=2048))
    with LlamaCpp(model_path, info, logs=tmp_path, cache=tmp_path / "kv") as model:
        run(model, Request([Message("system", LONG.content), *ask("Hi")], 1, fixed=1))
    found = list((tmp_path / "kv").rglob("*"))
    assert any(file.suffix == ".kv" for file in found)
    assert all(file.stat().st_mode & 0o077 == 0 for file in found)


def test_the_tokens_of_a_prompt_are_found_in_its_text(model: LlamaCpp) -> None:
    chat = [Message("system", "Be brief. 你好 😀"), Message("user", "What is <|im_end|> for?")]
    for _ in range(3):
        request = Request(tuple(chat), 24, temperature=1.0, seed=3, reply_start="It ")
        before = model.tokenize(request)
        text, end = run(model, request)
        for found in (before, model.tokenize(request)):
            assert len(found.ends) == end.usage.prompt_tokens
            assert found.ends[-1] == len(found.text.encode())
            data = found.text.encode()
            said = [data[first:last].decode() for first, last in found.places]
            assert said == [message.content for message in chat]
        chat += [Message("assistant", f"It {text}"), Message("user", "Go on.")]
    fill = Request(Infill("def f(a):\n    return ", "\n\n\ndef g():\n"), 8)
    assert len(model.tokenize(fill).ends) == run(model, fill)[1].usage.prompt_tokens


def test_a_reading_gives_the_likely_tokens_and_a_branch_continues_one(model: LlamaCpp) -> None:
    text = "def largest(numbers):\n    result = numbers[0]\n    for number in numbers:\n"
    text += "        if number < result:\n            result = number\n    return result\n"
    start = text.index("        if")
    chunks = list(model.generate(Request(RawText(text, start, 5), max_tokens=0)))
    places = load_places("".join(c.text for c in chunks if isinstance(c, Text)))
    assert "".join(text[p.start : p.end] for p in places) == text[start:]
    wrong = next(p for p in places if text[p.start : p.end] == " <")
    likely = {option.text: option for option in wrong.options}
    assert likely[" >"].probability > likely[" <"].probability
    branch = RawText(text, branch=(wrong.number, likely[" >"].token))
    *_, finish = chunks = list(model.generate(Request(branch, max_tokens=8, stop=("\n",))))
    assert "".join(c.text for c in chunks if isinstance(c, Text)) == " result:"
    assert isinstance(finish, Finish)
    assert finish.usage.reused_tokens == wrong.number
