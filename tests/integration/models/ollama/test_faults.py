"""Ollama servers that are old, slow, restarting or lying: each ends in an error that says so.

Every fault has to end within its watchdog; the whole file is under a timeout of its own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from localagent.core.errors import (
    BackendError,
    ContextOverflow,
    LocalAgentError,
    ModelFileError,
    ModelLoadError,
    ModelNotInstalled,
    NotLocal,
    PromptTruncated,
    ServerError,
    WorkerDied,
    WorkerHung,
)
from localagent.core.messages import Message
from localagent.models.base import Chunk, Finish, Infill, ModelInfo, Profile, Request, Text
from localagent.models.ollama.backend import Ollama
from tests.doubles.ollama_server import DIGEST, Pulled
from tests.doubles.ollama_server import Ollama as Server

pytestmark = pytest.mark.timeout(60)

ASK = Request((Message("user", "Is all well?"),))
SILENCE = 0.3
# As long a silence, where the fault is not one.
PATIENCE = 20.0
# A busy machine may be late by this much, in seconds.
LATE = 3.0


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        yield running


@pytest.fixture
def asked(server: Server) -> Iterator[Ollama]:
    with model(server) as opened:
        yield opened


@pytest.fixture
def patient(server: Server) -> Iterator[Ollama]:
    """Waits long enough that a busy machine is not taken for a server that hangs."""
    with model(server, silence=PATIENCE) as opened:
        yield opened


def model(server: Server, digest: str = DIGEST, silence: float = SILENCE, **profile: Any) -> Ollama:
    return Ollama(
        "toy:1b",
        ModelInfo("toy", "ollama", digest, Profile(**profile)),
        host=server.url,
        silence=silence,
        prefill=2 * silence,
        slowest=1e9,
        answer=silence,
        comeback=2.0,
    )


def text(chunks: list[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks if isinstance(chunk, Text))


def error(asked: Ollama, request: Request = ASK) -> LocalAgentError:
    """What the request raises: one line that a terminal can show, and a hint."""
    chunks: list[Chunk] = []
    with pytest.raises(LocalAgentError) as caught:
        chunks.extend(asked.generate(request))
    assert not [chunk for chunk in chunks if isinstance(chunk, Finish)]
    for line in (caught.value.message, caught.value.hint):
        assert line
        assert line.isprintable()
        assert len(line) < 500
    return caught.value


@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [
        ("500", ServerError, "status 500: something broke"),
        ("busy", ServerError, "status 503: server busy"),
        ("runner-died", WorkerDied, "unexpectedly stopped"),
        ("load-500", ModelLoadError, "more system memory"),
        ("small-window", ModelLoadError, "window of 1024 tokens, and 8192 were asked for"),
        ("cut", WorkerDied, "in the middle of an answer"),
        ("no-end", WorkerDied, "before it was complete"),
        ("error-line", WorkerDied, "running the model"),
        ("error-other", ServerError, "in the middle of a reply: [31mtemplate broke"),
        ("broken-json", ServerError, "not its protocol"),
        ("no-object", ServerError, "not its protocol"),
        ("wrong-type", ServerError, "not its protocol"),
        ("deep", ServerError, "not its protocol"),
        ("other-program", ServerError, "not its protocol"),
        ("endless-line", ServerError, "more than 16 MiB"),
        ("babbles", ServerError, "more than the 1024 tokens"),
        ("gzip", ServerError, "an encoding that was not asked for"),
        ("no-count", ServerError, "does not say how much of the prompt it read"),
        ("routed", NotLocal, "ollama.example"),
        ("shifted", ContextOverflow, "window holds 8192"),
    ],
)
def test_a_fault_has_its_error(
    server: Server, patient: Ollama, fault: str, kind: type[LocalAgentError], said: str
) -> None:
    server.fault = fault
    found = error(patient)
    assert type(found) is kind
    assert said in found.message
    server.fault = ""
    assert text(list(patient.generate(ASK))) == "all is well"


@pytest.mark.parametrize(
    ("fault", "patience", "said"),
    [
        ("silent", SILENCE, "has not begun to answer"),
        ("hang-prefill", 2 * SILENCE, "has not begun to answer"),
        ("hang-decode", SILENCE, "stopped in the middle of a reply"),
    ],
)
def test_a_hang_ends_with_its_watchdog(
    server: Server, asked: Ollama, fault: str, patience: float, said: str
) -> None:
    server.fault = fault
    started = time.monotonic()
    found = error(asked)
    took = time.monotonic() - started
    assert type(found) is WorkerHung
    assert said in found.message
    assert patience <= took < patience + LATE
    assert server.gone.wait(5), "the server still works on it"
    server.fault = ""
    assert text(list(asked.generate(ASK))) == "all is well"


def test_a_long_prompt_is_given_more_time(server: Server) -> None:
    """At a thousand tokens a second, 500 tokens more are half a second more."""
    server.fault = "hang-prefill"
    long = Request((Message("user", "word " * 500),))
    limits = {"silence": SILENCE, "prefill": 0.1, "slowest": 1000.0}
    with Ollama("toy:1b", ModelInfo("toy", "", DIGEST, Profile()), host=server.url, **limits) as it:
        started = time.monotonic()
        with pytest.raises(WorkerHung):
            list(it.generate(long))
        assert time.monotonic() - started >= 0.1 + 0.5


def test_slow_is_not_hung(server: Server, asked: Ollama) -> None:
    """The whole reply takes longer than any silence may last."""
    server.pace = SILENCE / 2
    server.answer = lambda body: "one two three"
    started = time.monotonic()
    assert text(list(asked.generate(ASK))) == "one two three"
    assert time.monotonic() - started > 2 * SILENCE


class TestTruncation:
    def test_a_server_that_knows_how_refuses_what_is_too_long(
        self, server: Server, asked: Ollama
    ) -> None:
        found = error(asked, Request((Message("user", "word " * 9000),)))
        assert isinstance(found, ContextOverflow)
        assert found.window == 8192
        assert found.needed > 8192

    def test_a_lie_is_seen_by_the_words(self, server: Server) -> None:
        """The last message alone is answered; it is far shorter than the words that were sent."""
        server.fault = "silent-truncation"
        past = [Message("user" if n % 2 == 0 else "assistant", "word " * 90) for n in range(20)]
        with model(server, window=1024) as asked:
            request = Request((*past, Message("user", "and now?")))
            found = error(asked, request)
        assert type(found) is PromptTruncated
        assert "read 9" in found.message

    def test_a_prompt_that_was_cut_to_fit_is_seen(self, server: Server) -> None:
        server.version = "0.9.6"  # knows no `truncate`
        with model(server, window=1024) as asked:
            found = error(asked, Request((Message("user", "+ " * 2000),)))
        assert type(found) is PromptTruncated
        assert "read 1024 tokens of a prompt that has at least 1025" in found.message

    def test_a_conversation_cannot_become_shorter(self, server: Server) -> None:
        """Its words alone do not tell, as most of it are signs; that it begins as before does."""
        start = Message("system", "be brief"), Message("user", "+-" * 300)
        more = *start, Message("assistant", "word " * 120), Message("user", "?")
        with model(server, window=1024) as asked:
            list(asked.generate(Request(start)))
            server.fault = "silent-truncation"
            found = error(asked, Request((*more, Message("user", "word " * 120))))
        assert type(found) is PromptTruncated

    def test_another_conversation_may_be_shorter(self, server: Server, asked: Ollama) -> None:
        list(asked.generate(Request((Message("user", "a long " * 300),))))
        assert text(list(asked.generate(ASK))) == "all is well"
        assert text(list(asked.generate(Request(Infill("a", "b"))))) == "all is well"


class TestRestart:
    def test_in_mid_stream_and_then_it_works_again(self, server: Server, asked: Ollama) -> None:
        server.fault = "hang-decode"
        chunks = asked.generate(ASK)
        assert any(isinstance(chunk, Text) for chunk in chunks)
        killer = threading.Timer(0.05, server.stop)
        killer.start()
        with pytest.raises(WorkerDied, match="in the middle of an answer"):
            list(chunks)
        killer.join()
        server.fault = ""
        server.start()
        assert text(list(asked.generate(ASK))) == "all is well"
        assert sum(seen.path == "/api/tags" for seen in server.seen) == 2, "checked again"

    def test_a_server_that_is_away_for_a_moment_is_waited_for(
        self, server: Server, asked: Ollama
    ) -> None:
        list(asked.generate(ASK))
        server.stop()
        threading.Timer(0.4, server.start).start()
        assert text(list(asked.generate(ASK))) == "all is well"

    def test_one_that_stays_away_is_an_error(self, server: Server, asked: Ollama) -> None:
        list(asked.generate(ASK))
        server.stop()
        started = time.monotonic()
        found = error(asked)
        assert type(found) is ModelLoadError
        assert 2.0 <= time.monotonic() - started < 2.0 + LATE
        server.start()

    def test_one_that_was_never_there_is_an_error_at_once(self, server: Server) -> None:
        server.stop()
        with model(server) as asked:
            started = time.monotonic()
            found = error(asked)
        assert type(found) is ModelLoadError
        assert "no Ollama server answers at http://127.0.0.1" in found.message
        assert "ollama serve" in found.hint
        assert time.monotonic() - started < LATE
        server.start()

    def test_what_comes_back_with_another_model_is_refused(
        self, server: Server, asked: Ollama
    ) -> None:
        list(asked.generate(ASK))
        server.stop()
        server.models = [Pulled("toy:1b", digest="f" * 64)]
        server.version = "0.33.0"
        server.start()
        assert type(error(asked)) is ModelFileError


class TestWhichModel:
    def test_an_unknown_one(self, server: Server, asked: Ollama) -> None:
        server.models = [Pulled("other:latest")]
        found = error(asked)
        assert type(found) is ModelNotInstalled
        assert "ollama pull toy:1b" in found.hint
        assert server.bodies("/api/chat") == []

    def test_one_that_disappears(self, server: Server, asked: Ollama) -> None:
        list(asked.generate(ASK))
        server.models = []
        assert type(error(asked)) is ModelNotInstalled

    @pytest.mark.parametrize("digest", ["f" * 64, "", "sha256:" + "e" * 64])
    def test_one_with_another_digest(self, server: Server, asked: Ollama, digest: str) -> None:
        server.models = [Pulled("toy:1b", digest=digest)]
        found = error(asked)
        assert type(found) is ModelFileError
        assert DIGEST[:12] in found.message
        assert server.bodies("/api/chat") == []
        assert [seen for seen in server.seen if "messages" in seen.body] == []

    def test_the_digest_may_have_its_prefix(self, server: Server, asked: Ollama) -> None:
        server.models = [Pulled("toy:1b", digest=f"sha256:{DIGEST}")]
        assert text(list(asked.generate(ASK))) == "all is well"

    def test_the_tag_latest_may_be_left_out(self, server: Server) -> None:
        server.models = [Pulled("Toy:latest")]
        info = ModelInfo("toy", "ollama", DIGEST, Profile())
        with Ollama("Toy", info, host=server.url) as asked:
            assert text(list(asked.generate(ASK))) == "all is well"

    def test_one_that_cannot_fill_in(self, server: Server, asked: Ollama) -> None:
        server.models = [Pulled("toy:1b", capabilities=("completion",))]
        found = error(asked, Request(Infill("a", "b")))
        assert type(found) is ServerError
        assert "fim = false" in found.hint


@pytest.mark.parametrize("version", ["0.1.32", "0.4.7"])
def test_a_server_that_is_too_old_is_told_so(server: Server, asked: Ollama, version: str) -> None:
    server.version = version
    found = error(asked)
    assert type(found) is ServerError
    assert version in found.message
    assert "0.5.0" in found.hint
    assert server.bodies("/api/chat") == []


@pytest.mark.parametrize("version", ["0.5.0", "0.6.3", "0.9.6", "0.12.5", "0.12.6", "0.30.1-rc2"])
def test_servers_from_there_on_are_used(server: Server, asked: Ollama, version: str) -> None:
    server.version = version
    assert text(list(asked.generate(ASK))) == "all is well"


def test_one_fault_ends_all_that_run_side_by_side(server: Server, asked: Ollama) -> None:
    server.pace, server.fault, server.fault_from = 0.05, "500", 3
    started = time.monotonic()
    with pytest.raises(BackendError, match="something broke"):
        for _ in asked.generate_all([ASK] * 3):
            pass
    assert time.monotonic() - started < LATE
    assert server.gone.wait(5)


def test_a_model_that_repeats_one_token_for_ever(server: Server, asked: Ollama) -> None:
    """Ollama ends such a reply after 30 of them, without a last line."""
    server.fault = "no-end"
    server.answer = lambda body: "=" * 40
    chunks = list(asked.generate(ASK))
    assert isinstance(chunks[-1], Finish)
    assert chunks[-1].reason == "length"
