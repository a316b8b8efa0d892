"""The Ollama backend on a server that does its work: what is sent, and what comes of it."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from localagent.core.errors import ModelFileError
from localagent.core.messages import Message
from localagent.models.base import (
    Chunk,
    Finish,
    Infill,
    ModelInfo,
    ModelWarning,
    Profile,
    Reading,
    Request,
    Text,
    Thought,
)
from localagent.models.ollama.backend import Ollama
from tests.doubles.ollama_server import DIGEST, Pulled, tokens
from tests.doubles.ollama_server import Ollama as Server

ASK = Request((Message("system", "Be brief."), Message("user", "Is all well?")))
THINKER = Pulled("toy:1b", capabilities=("completion", "thinking"), thinks="let me see now")


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        yield running


def model(server: Server, **profile: Any) -> Ollama:
    info = ModelInfo("toy", "ollama", DIGEST, Profile(**profile))
    return Ollama("toy:1b", info, host=server.url, silence=5, answer=5)


def ask(server: Server, request: Request = ASK, think: int = 0, **profile: Any) -> list[Chunk]:
    with model(server, **profile) as asked:
        return list(asked.generate(replace(request, think=think)))


def text(chunks: list[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks if isinstance(chunk, Text))


def finish(chunks: list[Chunk]) -> Finish:
    assert isinstance(chunks[-1], Finish)
    assert sum(isinstance(chunk, Finish) for chunk in chunks) == 1
    return chunks[-1]


def test_a_reply_is_streamed_and_counted(server: Server) -> None:
    chunks = ask(server)
    assert isinstance(chunks[0], Reading)
    assert chunks[0].total > 0
    assert [c.text for c in chunks if isinstance(c, Text)] == ["all", " ", "is", " ", "well"]
    end = finish(chunks)
    assert end.reason == "stop"
    assert end.usage.prompt_tokens == len(
        tokens(
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nIs all well?<|im_end|>\n"
        )
        + tokens("<|im_start|>assistant\n")
    )
    assert end.usage.completion_tokens == 5
    assert (end.usage.prefill_seconds, end.usage.decode_seconds) == (0.005, 0.007)


def test_what_is_on_the_wire(server: Server) -> None:
    """`truncate` and `shift` are no options of the model: they stand in the body itself."""
    request = Request(ASK.prompt, max_tokens=9, temperature=0.5, top_p=0.8, top_k=7, seed=2**31 + 3)
    ask(server, request, window=4096)
    (body,) = server.bodies("/api/chat")
    assert body == {
        "model": "toy:1b",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Is all well?"},
        ],
        "stream": True,
        "think": False,
        "truncate": False,
        "shift": False,
        "keep_alive": "30m",
        "options": {
            "num_ctx": 4096,
            "num_predict": 9,
            "temperature": 0.5,
            "top_p": 0.8,
            "top_k": 7,
            "seed": 3,
            "repeat_penalty": 1.0,
            "presence_penalty": 0.0,
            "min_p": 0.0,
        },
    }


def test_every_request_of_a_session_asks_for_the_same_window(server: Server) -> None:
    """The server loads the model anew where one differs, also where it is asked to load it."""
    with model(server, window=4096) as asked:
        list(asked.generate(ASK))
        list(asked.generate(Request(Infill("a", "b"))))
        list(asked.generate(Request(ASK.prompt, choices=("yes", "no"))))
    bodies = [s.body for s in server.seen if s.path in ("/api/chat", "/api/generate")]
    assert len(bodies) == 4
    frames = [(b["options"]["num_ctx"], b["truncate"], b["shift"], b["keep_alive"]) for b in bodies]
    assert set(frames) == {(4096, False, False, "30m")}


def test_the_server_is_checked_once_and_then_its_digest(server: Server) -> None:
    with model(server) as asked:
        list(asked.generate(ASK))
        list(asked.generate(ASK))
    paths = [seen.path for seen in server.seen]
    check = ["/api/version", "/api/tags", "/api/show", "/api/chat", "/api/ps"]
    assert paths == [*check, "/api/chat", "/api/version", "/api/tags", "/api/chat"]


def test_a_model_that_is_exchanged_between_two_replies_is_not_asked(server: Server) -> None:
    with model(server) as asked:
        list(asked.generate(ASK))
        server.models = [Pulled("toy:1b", digest="0" * 64)]
        with pytest.raises(ModelFileError, match="its digest is 000000000000"):
            list(asked.generate(ASK))
    assert len(server.bodies("/api/chat")) == 1


def test_a_server_that_was_updated_is_checked_again(server: Server) -> None:
    with model(server) as asked:
        list(asked.generate(ASK))
        server.version = "0.33.0"
        list(asked.generate(ASK))
    assert sum(seen.path == "/api/show" for seen in server.seen) == 2


def test_text_is_filled_in(server: Server) -> None:
    chunks = ask(server, Request(Infill("def f():\n    ", "\n\nf()\n"), stop=("\n",)))
    assert text(chunks) == "all is well"
    assert finish(chunks).reason == "stop"
    (body,) = server.bodies("/api/generate")
    assert (body["prompt"], body["suffix"]) == ("def f():\n    ", "\n\nf()\n")
    assert (body["truncate"], body["shift"], body["think"]) == (False, False, False)


@pytest.mark.parametrize(("prefix", "suffix"), [("", "b"), ("a", ""), ("", "")])
def test_text_is_filled_in_at_the_ends_of_a_file(server: Server, prefix: str, suffix: str) -> None:
    """An empty prompt would only load the model; an empty suffix would make it a question."""
    assert text(ask(server, Request(Infill(prefix, suffix)))) == "all is well"
    (body,) = server.bodies("/api/generate")
    assert (body["prompt"], body["suffix"]) == (prefix or "\n", suffix or "\n")


def test_a_choice_is_one_of_the_texts(server: Server) -> None:
    server.answer = lambda body: 'say "yes"'
    chunks = ask(server, Request(ASK.prompt, choices=("no", 'say "yes"'), max_tokens=6))
    assert text(chunks) == 'say "yes"'
    (body,) = server.bodies("/api/chat")
    assert body["format"] == {"type": "string", "enum": ["no", 'say "yes"']}
    assert body["options"]["num_predict"] > 6  # the quotes are written as well


def test_a_server_that_ignores_the_schema_gives_its_text(server: Server) -> None:
    server.fault = "no-format"
    assert text(ask(server, Request(ASK.prompt, choices=("yes", "no")))) == "all is well"


def test_a_reply_that_has_begun_is_gone_on_with(server: Server) -> None:
    start = "```python\n"
    chunks = ask(server, Request(ASK.prompt, reply_start=start))
    assert text(chunks) == "all is well"
    (body,) = server.bodies("/api/chat")
    assert body["messages"][-1] == {"role": "assistant", "content": start}


def test_a_reply_that_begins_again_loses_the_repeated_start(server: Server) -> None:
    server.answer = lambda body: "```python\nprint()\n```"
    chunks = ask(server, Request(ASK.prompt, reply_start="```python\n"))
    assert text(chunks) == "print()\n```"


def test_stops_are_the_models_own_and_the_requests(server: Server) -> None:
    chunks = ask(server, Request(ASK.prompt, stop=(" well",)))
    assert text(chunks) == "all is"
    (body,) = server.bodies("/api/chat")
    assert body["options"]["stop"] == ["<|im_end|>", " well"]


def test_the_limit_of_tokens_ends_a_reply(server: Server) -> None:
    chunks = ask(server, Request(ASK.prompt, max_tokens=3))
    assert (text(chunks), finish(chunks).reason) == ("all is", "length")


def test_without_tokens_only_the_prompt_is_read(server: Server) -> None:
    chunks = ask(server, Request(ASK.prompt, max_tokens=0))
    assert text(chunks) == ""
    assert finish(chunks).usage.prompt_tokens > 10


class TestThinking:
    def test_it_is_off_unless_the_request_has_room_for_it(self, server: Server) -> None:
        server.models = [THINKER]
        assert text(ask(server)) == "all is well"
        assert server.bodies("/api/chat")[0]["think"] is False

    def test_it_is_kept_apart(self, server: Server) -> None:
        server.models = [THINKER]
        chunks = ask(server, think=50)
        assert text(chunks) == "all is well"
        thoughts = [chunk.thought for chunk in chunks if isinstance(chunk, Thought)]
        assert "".join(thoughts) == "let me see now"
        (body,) = server.bodies("/api/chat")
        assert body["think"] is True
        assert body["options"]["num_predict"] == 1024 + 50
        assert finish(chunks).usage.completion_tokens == 7 + 5

    def test_it_is_bounded(self, server: Server) -> None:
        """The server would let it go on for as long as the reply may be."""
        server.models = [Pulled("toy:1b", capabilities=("thinking",), thinks="hm " * 200)]
        server.pace = 0.005
        chunks = ask(server, think=20)
        assert (text(chunks), finish(chunks).reason) == ("", "length")
        assert server.gone.wait(5)

    def test_the_reply_does_not_grow_by_what_was_not_thought(self, server: Server) -> None:
        server.models = [THINKER]
        chunks = ask(server, Request(ASK.prompt, max_tokens=3), think=50)
        assert (text(chunks), finish(chunks).reason) == ("all is", "length")

    @pytest.mark.parametrize("extra", [{"reply_start": "al"}, {"choices": ("yes", "no")}])
    def test_there_is_none_before_a_choice_or_a_begun_reply(
        self, server: Server, extra: dict[str, Any]
    ) -> None:
        server.models = [THINKER]
        ask(server, Request(ASK.prompt, **extra), think=50)
        assert server.bodies("/api/chat")[0]["think"] is False

    def test_a_model_that_cannot_is_not_asked_to(self, server: Server) -> None:
        assert text(ask(server, think=50)) == "all is well"
        assert server.bodies("/api/chat")[0]["think"] is False

    def test_one_that_was_not_told_apart_is_taken_out(self, server: Server) -> None:
        server.answer = lambda body: "<think>\nlet me see\n</think>\n\nall is well"
        assert text(ask(server)) == "all is well"


def test_an_old_server_is_used_and_the_user_is_told(server: Server) -> None:
    server.version = "0.9.6"
    with model(server) as asked:
        first, second = list(asked.generate(ASK)), list(asked.generate(ASK))
    assert text(first) == text(second) == "all is well"
    (notice,) = [chunk for chunk in first if isinstance(chunk, ModelWarning)]
    assert "0.9.6" in notice.text
    assert not [chunk for chunk in second if isinstance(chunk, ModelWarning)]


def test_a_build_from_source_counts_as_new(server: Server) -> None:
    server.version = "0.0.0"
    assert not [chunk for chunk in ask(server) if isinstance(chunk, ModelWarning)]


def test_a_version_that_counts_only_what_is_new_is_not_taken_for_a_liar(server: Server) -> None:
    server.version, server.fault = "0.30.0", "no-count"
    assert text(ask(server)) == "all is well"


def test_estimates_follow_the_counts(server: Server) -> None:
    """Never too few by the server's own count, and closer once one was seen."""
    prompt = "some words and more of them, " * 200
    with model(server) as asked:
        before = asked.count(prompt)
        end = finish(list(asked.generate(Request((Message("user", prompt),)))))
        after = asked.count(prompt)
    assert asked.count("") == 0
    assert after >= end.usage.prompt_tokens - 10
    assert abs(after - end.usage.prompt_tokens) < abs(before - end.usage.prompt_tokens)


class TestSideBySide:
    def requests(self, number: int) -> list[Request]:
        return [Request((Message("user", f"question {n}"),)) for n in range(number)]

    def run(self, asked: Ollama, number: int) -> tuple[dict[int, list[Chunk]], list[int]]:
        found: dict[int, list[Chunk]] = {n: [] for n in range(number)}
        order = []
        for place, chunk in asked.generate_all(self.requests(number)):
            found[place].append(chunk)
            if isinstance(chunk, Text):
                order.append(place)
        return found, order

    def test_replies_come_as_they_are_written(self, server: Server) -> None:
        server.answer = lambda body: "re: " + body["messages"][-1]["content"]
        server.pace = 0.01
        with model(server) as asked:
            found, order = self.run(asked, 4)
        assert [text(chunks) for chunks in found.values()] == [
            f"re: question {n}" for n in range(4)
        ]
        assert all(finish(chunks).reason == "stop" for chunks in found.values())
        assert server.most_at_once == 4
        assert order != sorted(order)

    def test_at_most_as_many_as_the_profile_says(self, server: Server) -> None:
        server.pace = 0.005
        with model(server, parallel=2) as asked:
            found, _ = self.run(asked, 5)
        assert all(text(chunks) == "all is well" for chunks in found.values())
        assert server.most_at_once == 2

    def test_to_wait_in_the_servers_queue_is_not_to_hang(self) -> None:
        """One reply takes a third of the patience; the last of six waits for twice of it."""
        with Server(parallel=1, pace=0.05) as server:
            info = ModelInfo("toy", "ollama", DIGEST, Profile())
            limits = {"silence": 0.75, "prefill": 0.75, "slowest": 1e9}
            with Ollama("toy:1b", info, host=server.url, **limits) as asked:
                found, _ = self.run(asked, 6)
            assert all(text(chunks) == "all is well" for chunks in found.values())
            assert server.most_at_once == 1

    def test_who_stops_listening_ends_the_rest(self, server: Server) -> None:
        server.pace = 0.2
        with model(server) as asked:
            replies = asked.generate_all(self.requests(3))
            assert any(isinstance(chunk, Text) for _, chunk in replies)
            replies.close()
            assert server.gone.wait(2)
            server.pace = 0
            assert text(list(asked.generate(ASK))) == "all is well"

    def test_one_of_several_is_cancelled(self, server: Server) -> None:
        server.pace = 0.03
        ends, texts = {}, {0: "", 1: "", 2: ""}
        with model(server) as asked:
            for place, chunk in asked.generate_all(self.requests(3)):
                if isinstance(chunk, Text):
                    texts[place] += chunk.text
                    asked.cancel(1)
                elif isinstance(chunk, Finish):
                    ends[place] = chunk.reason
        assert ends == {0: "stop", 1: "cancelled", 2: "stop"}
        assert texts[0] == texts[2] == "all is well" != texts[1]

    def test_one_that_waits_for_its_turn_is_cancelled(self, server: Server) -> None:
        server.pace = 0.03
        ends = []
        with model(server, parallel=1) as asked:
            for place, chunk in asked.generate_all(self.requests(2)):
                if isinstance(chunk, Text):
                    asked.cancel(1)
                elif isinstance(chunk, Finish):
                    ends.append((place, chunk.reason))
        assert ends == [(1, "cancelled"), (0, "stop")]
        assert len(server.bodies("/api/chat")) == 1


class TestCancel:
    """The bound in these tests is 0.5 s, since the machine may be busy; 10 ms are usual."""

    def cancelled(self, server: Server, when: Callable[[], Any]) -> list[Chunk]:
        taken: list[float] = []

        def stop(asked: Ollama) -> None:
            when()
            taken.append(time.monotonic())
            asked.cancel()

        with model(server) as asked:
            stopper = threading.Thread(target=stop, args=(asked,))
            stopper.start()
            chunks = list(asked.generate(ASK))
            took = time.monotonic() - taken[0]
            stopper.join()
            assert finish(chunks).reason == "cancelled"
            assert took < 0.5
            assert server.gone.wait(2), "the server does not know"
            server.fault, server.pace = "", 0.0
            assert text(list(asked.generate(ASK))) == "all is well"
        return chunks

    def test_while_it_reads(self, server: Server) -> None:
        server.fault = "hang-prefill"
        self.cancelled(server, lambda: _until(lambda: server.generations == 1))

    def test_while_it_writes(self, server: Server) -> None:
        server.fault = "hang-decode"
        chunks = self.cancelled(server, lambda: server.writing.wait(5))
        assert all(len(chunk.text) < 9 for chunk in chunks if isinstance(chunk, Text))

    def test_while_the_server_is_checked(self, server: Server) -> None:
        server.fault = "silent"
        self.cancelled(server, lambda: _until(lambda: bool(server.seen)))

    def test_from_where_the_chunks_are_taken(self, server: Server) -> None:
        server.pace = 0.05
        with model(server) as asked:
            chunks: list[Chunk] = []
            for chunk in asked.generate(ASK):
                chunks.append(chunk)
                if isinstance(chunk, Text):
                    asked.cancel()
        assert finish(chunks).reason == "cancelled"
        assert finish(chunks).usage.completion_tokens >= 1

    def test_nothing_runs(self, server: Server) -> None:
        with model(server) as asked:
            asked.cancel()
            asked.cancel(3)
            assert text(list(asked.generate(ASK))) == "all is well"


def test_one_call_at_a_time(server: Server) -> None:
    with model(server) as asked:
        first = asked.generate(ASK)
        next(first)
        with pytest.raises(RuntimeError, match="busy"):
            next(asked.generate(ASK))
        first.close()
        assert text(list(asked.generate(ASK))) == "all is well"


def test_closing_ends_the_thread(server: Server) -> None:
    asked = model(server)
    list(asked.generate(ASK))
    asked.close()
    asked.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "ollama"]


def _until(true: Callable[[], bool]) -> None:
    limit = time.monotonic() + 5
    while not true() and time.monotonic() < limit:
        time.sleep(0.002)


@pytest.mark.parametrize("left", ["list(chunks)", "next(chunks)"])
def test_a_process_ends_with_a_model_that_nobody_closed(server: Server, left: str) -> None:
    code = f"""
from localagent.core.errors import ModelFileError
from localagent.core.messages import Message
from localagent.models.base import ModelInfo, Profile, Request
from localagent.models.ollama.backend import Ollama
model = Ollama("toy:1b", ModelInfo("a", "ollama", {DIGEST!r}, Profile()), host={server.url!r})
chunks = model.generate(Request([Message("user", "hello")]))
{left}
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
