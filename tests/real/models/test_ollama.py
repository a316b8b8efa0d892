"""A real Ollama server, where one answers on the loopback port: nothing is pulled or changed.

The smallest model that it has is asked a few short questions.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from localagent.core.errors import ContextOverflow, LocalAgentError
from localagent.core.messages import Message
from localagent.models.base import Chunk, Finish, Infill, ModelInfo, Profile, Request, Text
from localagent.models.ollama import pinning
from localagent.models.ollama.backend import HOST, Ollama
from localagent.models.ollama.client import Client
from localagent.models.ollama.pinning import ANSWER, Facts
from localagent.models.ollama.protocol import Tagged, Tags
from localagent.models.server.background import run_once
from localagent.models.server.silence import SilenceTimeout

pytestmark = [pytest.mark.ollama, pytest.mark.slow]

WINDOW = 2048


def tags() -> list[Tagged]:
    """The local models of the server, the smallest first."""
    try:
        found = run_once(
            Client(HOST),
            lambda client: client.ask(Tags, "/api/tags", SilenceTimeout(ANSWER, ANSWER)),
        )
    except LocalAgentError as error:
        pytest.skip(error.message)
    return sorted((t for t in found.models or () if not t.remote), key=lambda tag: tag.size)


@pytest.fixture(scope="module")
def found() -> Facts:
    """A model that chats."""
    for tag in tags():
        facts = pinning.ask(HOST, tag.name)
        if facts.show.capabilities is None or "completion" in facts.show.capabilities:
            return facts
    pytest.skip("the Ollama server has no model that writes")


@pytest.fixture
def model(found: Facts) -> Iterator[Ollama]:
    digest = found.tag.digest.removeprefix("sha256:")
    info = ModelInfo("real", "ollama", digest, Profile(window=WINDOW, parallel=2))
    with Ollama(found.tag.name, info, silence=120) as opened:
        yield opened


def ask(text: str, **more: object) -> Request:
    return Request((Message("user", text),), **more)  # type: ignore[arg-type]


def text(chunks: list[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks if isinstance(chunk, Text))


def end(chunks: list[Chunk]) -> Finish:
    assert isinstance(chunks[-1], Finish)
    return chunks[-1]


def test_it_answers(model: Ollama) -> None:
    chunks = list(model.generate(ask("Say hello.", max_tokens=16)))
    assert text(chunks)
    assert 5 < end(chunks).usage.prompt_tokens < 200
    assert 0 < end(chunks).usage.completion_tokens <= 16


def test_a_choice(model: Ollama) -> None:
    chunks = list(model.generate(ask("Is 2 more than 1?", choices=("yes", "no"), max_tokens=6)))
    assert text(chunks) in ("yes", "no")


def test_a_reply_that_has_begun(model: Ollama) -> None:
    request = ask("Count from 1 to 9.", reply_start="1, 2, 3, 4,", max_tokens=12)
    assert "5" in text(list(model.generate(request)))[:6]


def test_what_is_too_long_is_refused(model: Ollama, found: Facts) -> None:
    if not found.refuses:
        pytest.skip(f"Ollama {found.version.version} cuts prompts")
    with pytest.raises(ContextOverflow):
        list(model.generate(ask("word " * (2 * WINDOW))))


def test_it_ends_when_cancelled(model: Ollama) -> None:
    chunks: list[Chunk] = []
    stopped: list[float] = []

    def stop() -> None:
        stopped.append(time.monotonic())
        model.cancel()

    for chunk in model.generate(ask("Write a long story.", max_tokens=400)):
        chunks.append(chunk)
        if isinstance(chunk, Text) and not stopped:
            threading.Thread(target=stop).start()
    assert end(chunks).reason == "cancelled"
    assert time.monotonic() - stopped[0] < 0.5


def test_side_by_side(model: Ollama) -> None:
    ends = [
        place
        for place, chunk in model.generate_all([ask("Say hello.", max_tokens=4)] * 3)
        if isinstance(chunk, Finish)
    ]
    assert sorted(ends) == [0, 1, 2]


def test_text_is_filled_in(model: Ollama, found: Facts) -> None:
    if not found.show.fills_in:
        pytest.skip(f"{found.tag.name} cannot fill in")
    request = Request(Infill("def add(a, b):\n    return ", "\n\nprint(add(1, 2))\n"), max_tokens=8)
    assert "a" in text(list(model.generate(request)))
